"""`tools/doctor.py`: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scenes.city import VERSION, make_city


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("doctor") / "city"
    make_city(out, train_scenes=0, val_scenes=1, frames=3, images=False, seed=3, workers=1)
    return out


def changed(city: Path, root: Path, name: str, change) -> Path:
    shutil.copytree(city, root)
    path = root / VERSION / f"{name}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
    return root


def test_a_good_root_has_exit_code_0(run, city, tmp_path):
    code, out, err = run("doctor.py", city, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "0 errors, 0 warnings, 1 note\n" in out
    assert out.splitlines()[-1] == str(tmp_path / "out" / "index.html")
    assert [finding["check"] for finding in json.loads((tmp_path / "out" / "doctor.json").read_text())["findings"]] == [
        "images-absent"
    ]


def test_an_error_has_exit_code_1_and_is_told_with_its_remedy(run, city, tmp_path):
    def turn(rows) -> None:
        for row in rows:
            row["rotation"] = [*row["rotation"][1:], row["rotation"][0]]

    root = changed(city, tmp_path / "root", "sample_annotation", turn)
    code, out, _ = run("doctor.py", root, "--version", VERSION)
    assert code == 1
    line = next(line for line in out.splitlines() if "quaternion-order" in line)
    assert line.startswith("error") and "x, y, z, w" in line
    assert "-> Write quaternions as w, x, y, z." in out


def test_a_warning_has_exit_code_0(run, city, tmp_path):
    root = changed(city, tmp_path / "root", "instance", lambda rows: rows[0].update(nbr_annotations=99))
    code, out, _ = run("doctor.py", root)
    assert code == 0
    assert "warning count-wrong" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}"], "no folder in it holds a sample.json"),
        (["{folder}/none"], "no such data root"),
        (["{city}", "--version", "v9"], "no such folder of tables"),
        (["{city}", "--results", "{folder}/none.json"], "no such file"),
        (["{city}", "--results", "{city}/v1.0-city/sample.json"], "expected an object"),
        (["{city}", "--results", "{city}/v1.0-city"], "no such file"),
    ],
)
def test_what_cannot_be_used_has_exit_code_2_and_one_line(run, city, tmp_path, arguments, message):
    filled = [argument.format(city=city, folder=tmp_path) for argument in arguments]
    code, out, err = run("doctor.py", *filled, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and message in err
    assert not (tmp_path / "out").exists()
