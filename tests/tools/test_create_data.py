"""The command line of `tools/create_data.py`."""

import json
import subprocess
import sys
from pathlib import Path

from detection.data import read_infos
from scenes.city import VERSION, make_city

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "create_data.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_writes_info_files_where_it_is_told(tmp_path: Path) -> None:
    make_city(tmp_path / "city", train_scenes=1, val_scenes=0, frames=2, images=False, workers=1)
    done = _run(tmp_path / "city", "--version", VERSION, "--out-dir", tmp_path / "infos", "--tag", "own", "--coco")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "infos" / "own_temporal_infos_city_train.pkl"
    assert len(read_infos(path)[0]) == 2
    assert f"2 frames -> {path}" in done.stdout.replace("\n", "")
    coco = tmp_path / "infos" / "coco_city_train.json"
    rows = json.loads(coco.read_text())["annotations"]
    crowds = sum(row["iscrowd"] for row in rows)
    assert f"12 images, {len(rows)} boxes, {crowds} of them crowds -> {coco}" in done.stdout.replace("\n", "")


def test_missing_tables_are_one_line(tmp_path: Path) -> None:
    done = _run(tmp_path, "--version", "v1.0-mini")
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: {tmp_path / 'v1.0-mini'}: no such folder of tables"
