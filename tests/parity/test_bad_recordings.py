"""Recordings and rules that cannot be used: one clear message each."""

from pathlib import Path

import numpy as np
import pytest

from parity.checks import check_file, check_folder
from parity.models import Workshop
from parity.rule import Rule
from scenes import InputError

RULE = """
def weight(name, shape): ...
def frame(sequence, number): ...
def ground_truth(frame): ...
def dn_noise(shape, call): ...
"""


@pytest.fixture
def bare_workshop(tmp_path: Path) -> Workshop:
    (tmp_path / "rule.py").write_text(RULE)
    return Workshop(Path(__file__).resolve().parents[2] / "configs", Rule(tmp_path / "rule.py"))


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        list(check_folder(tmp_path / "nowhere", tmp_path))


def test_folder_without_recordings(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="holds no recording"):
        list(check_folder(tmp_path, tmp_path))


def test_folder_without_rule(tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", A0_timestamp=0.0)
    with pytest.raises(InputError, match=r"needs rule\.py"):
        list(check_folder(tmp_path, tmp_path))


def test_rule_is_found_in_the_sibling_folder(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "rule.py").write_text(RULE)
    (tmp_path / "others").mkdir()
    Rule.find(tmp_path / "others")


@pytest.mark.parametrize(
    ("content", "message"),
    [("x = 1", "no function weight"), ("x = (", "cannot be imported: SyntaxError"), ("1 / 0", "ZeroDivisionError")],
)
def test_file_that_is_no_rule(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text(content)
    with pytest.raises(InputError, match=message):
        Rule(tmp_path / "rule.py")


def test_rule_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such rule"):
        Rule(tmp_path / "rule.py")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("b_r50_428q_seqA.npz", "cannot be read as arrays"),
        ("c_r50_428q_stream.json", "not JSON"),
        ("inputs.npz", "cannot be read as arrays"),
    ],
)
def test_file_that_is_cut_short(name: str, message: str, tmp_path: Path, bare_workshop: Workshop) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04{")
    with pytest.raises(InputError, match=message):
        check_file(tmp_path / name, bare_workshop)


def test_arrays_that_are_pickled_objects(tmp_path: Path, bare_workshop: Workshop) -> None:
    np.savez(tmp_path / "inputs.npz", A0_img=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="cannot be read as arrays"):
        check_file(tmp_path / "inputs.npz", bare_workshop)


def test_model_that_nobody_knows(tmp_path: Path, bare_workshop: Workshop) -> None:
    np.savez(tmp_path / "b_r9000_seqA.npz", f0_img_feats=np.zeros(1))
    with pytest.raises(InputError, match="no model is known as 'r9000'"):
        check_file(tmp_path / "b_r9000_seqA.npz", bare_workshop)


def test_training_without_losses(tmp_path: Path, bare_workshop: Workshop) -> None:
    (tmp_path / "c_r50_428q_stream.json").write_text('{"frame0": {"note": 1}}')
    with pytest.raises(InputError, match="holds no losses"):
        check_file(tmp_path / "c_r50_428q_stream.json", bare_workshop)


def test_names_of_a_config_that_is_not_here_are_not_checked(tmp_path: Path, bare_workshop: Workshop) -> None:
    (tmp_path / "keys_other.txt").write_text("a\t1\tfloat32\n")
    report = check_file(tmp_path / "keys_other.txt", bare_workshop)
    assert report.comparison is None and report.agrees and str(report) == "keys_other.txt: not checked"
