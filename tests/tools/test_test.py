"""The options of `tools/test.py` that stand for keys of a config."""

import runpy
from argparse import Namespace
from pathlib import Path

from detection.config import read_config
from detection.data.create_infos import create_infos
from scenes.city import VAL_SPLIT, VERSION, make_city

TOOL = Path(__file__).resolve().parents[2] / "tools" / "test.py"


def test_another_data_root_is_named_by_three_options(tmp_path: Path) -> None:
    make_city(tmp_path / "city", train_scenes=0, val_scenes=1, frames=2, images=False, workers=1)
    create_infos(tmp_path / "city", VERSION)
    options = Namespace(dataroot=str(tmp_path / "city"), version=VERSION, split=VAL_SPLIT)
    keys = runpy.run_path(str(TOOL), run_name="test")["_data_set"](options)
    config = read_config("configs/streampetr/stream_petr_r50_flash_704_bs2_seq_24e.py", keys)
    dataset, evaluator = config.val_dataloader.dataset, config.val_evaluator
    assert Path(dataset.dataroot, dataset.ann_file).is_file()
    assert (evaluator.dataroot, evaluator.version, evaluator.split) == (dataset.dataroot, VERSION, VAL_SPLIT)


def test_what_is_not_said_stays_as_the_config_has_it() -> None:
    keys = runpy.run_path(str(TOOL), run_name="test")["_data_set"](Namespace(dataroot=None, version=None, split="val"))
    assert keys == {
        "val_evaluator.split": "val",
        "val_dataloader.dataset.ann_file": "nuscenes2d_temporal_infos_val.pkl",
    }
