"""Info files: what is written is read, and nothing in a file is run."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.data import read_infos, write_infos
from detection.data.infos import CAMERA_ORDER, in_published_order
from scenes import InputError


def _info() -> dict[str, Any]:
    camera = dict(
        data_path="samples/CAM_FRONT/a.jpg",
        sensor2lidar_rotation=np.eye(3),
        sensor2lidar_translation=np.zeros(3),
        cam_intrinsic=np.eye(3),
    )
    return dict(
        token="a",
        scene_token="s",
        timestamp=1,
        cams=dict(CAM_FRONT=camera),
        lidar2ego_rotation=[1.0, 0, 0, 0],
        lidar2ego_translation=[0.0, 0, 0],
        ego2global_rotation=[1.0, 0, 0, 0],
        ego2global_translation=[0.0, 0, 0],
        gt_names=np.array(["car", "truck"]),
        num_lidar_pts=np.array([3, 4]),
        valid_flag=np.array([True, False]),
        scalar=np.float32(2.5),
        objects=np.array(["a", None], dtype=object),
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_infos(tmp_path / "a.pkl", [_info()], {"version": "v1.0-mini"})
    infos, metadata = read_infos(tmp_path / "a.pkl")
    assert metadata == {"version": "v1.0-mini"}
    np.testing.assert_equal(infos, [_info()])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_every_protocol(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"infos": [_info()], "metadata": {}}, protocol))
    np.testing.assert_equal(read_infos(tmp_path / "a.pkl")[0], [_info()])


@pytest.mark.parametrize("package", ["numpy.core", "numpy._core"])
def test_reads_files_of_either_numpy(tmp_path: Path, package: str) -> None:
    content = pickle.dumps({"infos": [_info()], "metadata": {}}, protocol=2)
    renamed, count = re.subn(rb"(?<=c)numpy\._?core(?=\.multiarray\n)", package.encode(), content)
    assert count
    (tmp_path / "a.pkl").write_bytes(renamed)
    np.testing.assert_equal(read_infos(tmp_path / "a.pkl")[0], [_info()])


class _Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, run: Any, *arguments: Any) -> None:
        self._reduced = (run, arguments)

    def __reduce__(self) -> Any:
        return self._reduced


@pytest.mark.parametrize(
    ("run", "arguments", "name"),
    [
        (os.system, ("touch {mark}",), "posix.system"),
        (eval, ("open({mark!r}, 'w')",), "builtins.eval"),
        (getattr, ({}, "clear"), "builtins.getattr"),
        (np.load, ("{mark}",), "numpy.load"),
        (pickle.loads, (b"",), "_pickle.loads"),
    ],
)
def test_runs_nothing(tmp_path: Path, run: Any, arguments: tuple[Any, ...], name: str) -> None:
    mark = tmp_path / "ran"
    filled = tuple(part.format(mark=str(mark)) if isinstance(part, str) else part for part in arguments)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"infos": [_Runs(run, *filled)]}))
    with pytest.raises(InputError, match=r"evil\.pkl: refers to .*; only arrays and plain containers") as caught:
        read_infos(tmp_path / "evil.pkl")
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert not mark.exists()


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda info: info.pop(key)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a dictionary with the list 'infos'"),
        ({"data_list": [], "metainfo": {}}, "newer layout of mmdet3d"),
        ({"infos": []}, "holds no frame"),
        ({"infos": [3]}, "frame 0 is not a dictionary"),
        ({"infos": [{**_info(), "cams": {}}]}, r"frame 0 \('a'\): no camera"),
        ({"infos": [_info(), {"token": "b"}]}, "frame 1: key 'scene_token' is missing"),
        ({"infos": [{**_info(), "cams": {"CAM_A": {"data_path": "x"}}}]}, "CAM_A: key 'sensor2lidar_rotation'"),
    ],
)
def test_names_what_is_wrong(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=message):
        read_infos(tmp_path / "a.pkl")


def test_missing_file_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="create_data"):
        read_infos(tmp_path / "absent.pkl")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(share=st.floats(0.0, 0.999))
def test_cut_file_is_one_line(tmp_path: Path, share: float) -> None:
    content = pickle.dumps({"infos": [_info()], "metadata": {}})
    (tmp_path / "cut.pkl").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.pkl: not a readable pickle") as caught:
        read_infos(tmp_path / "cut.pkl")
    assert "\n" not in str(caught.value)


def test_cameras_come_in_the_published_order() -> None:
    assert in_published_order(sorted(CAMERA_ORDER)) == CAMERA_ORDER
    assert in_published_order(["roof", "CAM_BACK", "nose", "CAM_FRONT"]) == ("CAM_FRONT", "CAM_BACK", "roof", "nose")
