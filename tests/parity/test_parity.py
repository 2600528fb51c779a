"""Every recording agrees, and a recording that is changed by a little more than the tolerance does not."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from parity import tolerances
from parity.checks import check_file, check_folder, recordings
from parity.models import Workshop

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = [
    "b_focal_petrv1_seqA.npz",
    "b_petrv1_seqA.npz",
    "b_r50_428q_batchAB.npz",
    "b_r50_428q_focaltopk05_seqA.npz",
    "b_r50_428q_roi_eval_A0.npz",
    "b_r50_428q_seqA.npz",
    "b_repdetr3d_vov_seqA.npz",
    "c_focal_petrv1.json",
    "c_r50_428q_nogt.json",
    "c_r50_428q_stream.json",
    "c_repdetr3d_vov.json",
    "init_stats_repdetr3d_vov.txt",
    "init_stats_stream_petr_r50_428q.txt",
    "inputs.npz",
]


SLOW = "c_repdetr3d_vov.json"


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == SLOW)) for name in RECORDINGS])
def test_recording_agrees(name: str, golden: Path, workshop: Workshop) -> None:
    if not (golden / name).is_file():
        pytest.skip("not among the recordings that come along")
    report = check_file(golden / name, workshop)
    assert report.comparison is not None and report.agrees, str(report)


def test_names_and_shapes_of_every_released_config_agree(golden: Path, workshop: Workshop) -> None:
    reports = [check_file(path, workshop) for path in sorted(golden.glob("keys_*.txt"))]
    assert len(reports) == 11
    for report in reports:
        assert report.comparison is not None and report.agrees, str(report)


def test_every_recorded_file_is_checked(golden: Path) -> None:
    names = {path.name for path in recordings(golden) if not path.name.startswith("keys_")}
    notes = "noise_and_checks.json"
    if notes in names:
        assert names == {*RECORDINGS, notes}
    else:  # what comes along
        assert {"b_petrv1_seqA.npz", "b_r50_428q_seqA.npz", "b_repdetr3d_vov_seqA.npz"} < names < {*RECORDINGS}
        assert {"c_focal_petrv1.json", "c_r50_428q_stream.json", "c_repdetr3d_vov.json"} < names


def test_every_recorded_array_is_compared(golden: Path, workshop: Workshop) -> None:
    with np.load(golden / "b_r50_428q_roi_eval_A0.npz") as arrays:
        names = set(arrays.files)
    comparison = check_file(golden / "b_r50_428q_roi_eval_A0.npz", workshop).comparison
    assert comparison is not None and set(comparison.compared) == names and not comparison.not_compared


def test_changed_array_is_found(golden: Path, workshop: Workshop, tmp_path: Path) -> None:
    with np.load(golden / "b_r50_428q_roi_eval_A0.npz") as arrays:
        changed = dict(arrays)
    changed["enc_bbox_preds"][3, 17, 2] += 2 * tolerances.FEATURES
    np.savez(tmp_path / "b_r50_428q_roi_eval_A0.npz", **changed)
    report = check_file(tmp_path / "b_r50_428q_roi_eval_A0.npz", workshop)
    assert not report.agrees and "enc_bbox_preds [3, 17, 2]" in str(report)


@pytest.mark.parametrize(("array", "steps"), [("A0_lidar2img", 20), ("A0_intrinsics", 1), ("A0_extrinsics", 1)])
def test_changed_input_is_found(golden: Path, workshop: Workshop, tmp_path: Path, array: str, steps: int) -> None:
    """What the rule computes by itself to the last bit, its one product of matrices to a few."""
    with np.load(golden / "inputs.npz") as arrays:
        changed = dict(arrays)
    largest = np.unravel_index(np.abs(changed[array]).argmax(), changed[array].shape)
    changed[array][largest] += steps * np.spacing(changed[array][largest])
    np.savez(tmp_path / "inputs.npz", **changed)
    report = check_file(tmp_path / "inputs.npz", workshop)
    assert not report.agrees and array in str(report)


def test_tool_reports_and_exits(golden: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    name = "keys_petrv1_r50_flash_704_24e.txt"
    shutil.copy(golden / name, tmp_path)
    (tmp_path / "notes.txt").write_text("nothing\tto\tcompare\n")
    monkeypatch.setattr(sys, "argv", ["parity", str(tmp_path), "--rule", str(golden / "rule.py")])

    def check() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("parity", run_name="__main__")
        return ended.value.code, capsys.readouterr().out

    code, printed = check()
    assert code == 0 and f"{name}: ok" in printed and "notes.txt: not checked" in printed

    changed = (tmp_path / name).read_text().replace("900x3", "901x3")
    (tmp_path / name).write_text(changed)
    code, printed = check()
    assert code == 1 and f"{name}: DIFFERS" in printed and "reference_points.weight" in printed


def test_folder_is_checked_file_by_file(golden: Path, tmp_path: Path) -> None:
    for name in ("keys_petrv1_r50_flash_704_24e.txt", "inputs.npz", "rule.py"):
        shutil.copy(golden / name, tmp_path)
    reports = list(check_folder(tmp_path, ROOT / "configs"))
    assert [report.name for report in reports] == ["inputs.npz", "keys_petrv1_r50_flash_704_24e.txt"]
    assert all(report.agrees for report in reports)


def test_training_queries_of_nearly_equal_scores_may_change_places(
    golden: Path, workshop: Workshop, tmp_path: Path
) -> None:
    """As on a processor that rounds differently: two neighbours in memory and their scores are exchanged."""
    content = json.loads((golden / "c_r50_428q_stream.json").read_text())
    (tmp_path / "c_r50_428q_stream.json").write_text(json.dumps({"frame0": content["frame0"]}))
    with np.load(golden / "c_r50_428q_stream.npz") as arrays:
        changed = {name: arrays[name] for name in arrays.files if name.startswith("frame0")}
    if "frame0_all_cls_scores" not in changed:
        pytest.skip("the scores are not among the recordings that come along")
    logits = changed["frame0_all_cls_scores"][-1, 0]
    ranking = np.argsort(-logits.max(axis=-1))
    gaps = -np.diff(1 / (1 + np.exp(-logits.max(axis=-1).astype(np.float64)[ranking[:128]])))
    near = int(gaps.argmin())
    assert 0 < gaps[near] < tolerances.RANKED_SCORES
    first, second = ranking[near : near + 2]
    best = (first, logits[first].argmax()), (second, logits[second].argmax())
    logits[best[0]], logits[best[1]] = logits[best[1]], logits[best[0]]
    for name, array in changed.items():
        if "_memory_" in name:
            array[0, [near, near + 1]] = array[0, [near + 1, near]]
    np.savez(tmp_path / "c_r50_428q_stream.npz", **changed)
    report = check_file(tmp_path / "c_r50_428q_stream.json", workshop)
    assert report.agrees, str(report)

    changed["frame0_memory_reference_point"][0, near] += 2 * tolerances.BOXES
    np.savez(tmp_path / "c_r50_428q_stream.npz", **changed)
    assert not check_file(tmp_path / "c_r50_428q_stream.json", workshop).agrees
