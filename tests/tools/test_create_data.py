"""The command line of `tools/create_data.py`."""

import json
from functools import partial
from pathlib import Path

import pytest

from detection.data import read_infos
from scenes.city import VERSION, make_city


@pytest.fixture
def create(run):
    return partial(run, "create_data.py")


def test_writes_info_files_where_it_is_told(create, tmp_path: Path) -> None:
    make_city(tmp_path / "city", train_scenes=1, val_scenes=0, frames=2, images=False, workers=1)
    done = create(tmp_path / "city", "--version", VERSION, "--out-dir", tmp_path / "infos", "--tag", "own", "--coco")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "infos" / "own_temporal_infos_city_train.pkl"
    assert len(read_infos(path)[0]) == 2
    assert f"2 frames -> {path}" in done.stdout.replace("\n", "")
    coco = tmp_path / "infos" / "coco_city_train.json"
    rows = json.loads(coco.read_text())["annotations"]
    crowds = sum(row["iscrowd"] for row in rows)
    assert f"12 images, {len(rows)} boxes, {crowds} of them crowds -> {coco}" in done.stdout.replace("\n", "")


def test_missing_tables_are_one_line(create, tmp_path: Path) -> None:
    done = create(tmp_path, "--version", "v1.0-mini")
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: {tmp_path / 'v1.0-mini'}: no such folder of tables"
