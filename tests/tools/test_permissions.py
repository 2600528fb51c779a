"""Files and folders that an ordinary user may not read or write are named; nothing else happens."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import detection.data.create_infos  # noqa: F401
import evaluation.tracking  # noqa: F401
import visualization  # noqa: F401
from scenes import read_scenes, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from tracking import track_results

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NOBODY = 65534
ROOT_MAY_ALL = os.geteuid() == 0


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that everybody can enter; pytest's own ones are closed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        city = folder / "city"
        make_city(city, train_scenes=1, val_scenes=1, frames=1, image_size=(176, 99), seed=3, workers=1)
        scenes = read_scenes(city, VERSION, VAL_SPLIT)
        detections = simulate_detections(scenes)
        write_detections(folder / "detections.json", detections)
        write_tracks(folder / "tracks.json", track_results(detections, scenes))
        shutil.copy(folder / "tracks.json", folder / "other.json")
        (folder / "config.py").write_text("tracker = dict()")
        torch.save({"weight": torch.ones(2)}, folder / "weights.pth")
        (folder / "scalars.json").write_text('{"step": 1, "lr": 0.1, "time": 0.5, "loss": 3.0}\n')
        yield folder


@pytest.fixture
def world(open_folder: Path) -> Iterator[Path]:
    """A copy whose rights a test may change, with a folder `out` to write to."""
    copy = open_folder / "copy"
    shutil.copytree(open_folder, copy, ignore=shutil.ignore_patterns("copy"))
    (copy / "out").mkdir()
    (copy / "out").chmod(0o777)
    copy.chmod(0o755)
    yield copy
    for path in [copy, *copy.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(copy)


def run_as_ordinary_user(words: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """A tool in a child of this process, which gives up the rights of root."""
    child = os.fork()
    if child == 0:
        try:
            if ROOT_MAY_ALL:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            sys.argv = words
            runpy.run_path(str(TOOLS / words[0]), run_name="__main__")
        except SystemExit as ended:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(ended.code or 0))
        finally:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), *capfd.readouterr()


_CITY = f"--dataroot {{}}/city --version {VERSION} --split {VAL_SPLIT}"
TRACK = f"track.py {{}}/detections.json {_CITY} --config {{}}/config.py --workers 1 --out {{}}/out/tracks.json"
CREATE = f"create_data.py {{}}/city --version {VERSION} --out-dir {{}}/out"
MAKE = "make_city.py {}/out/city --train-scenes 0 --val-scenes 1 --frames 1 --no-images --workers 1"
EVALUATE = f"evaluate.py tracking {{}}/tracks.json {_CITY} --out {{}}/out"
COMPARE = f"evaluate.py compare {{}}/tracks.json {{}}/other.json {_CITY}"
CONVERT = "convert_checkpoint.py {}/weights.pth {}/out/weights.pth"
CURVES = "analyze_logs.py plot_curve {}/scalars.json --out {}/out/curves.png"
VISUALIZE = f"visualize.py {{}}/tracks.json {_CITY} --workers 1 --out {{}}/out --format "


@pytest.mark.parametrize(
    ("command", "closed", "message"),
    [
        (TRACK, "detections.json", "detections.json: Permission denied"),
        (TRACK, "config.py", "config.py: "),
        (TRACK, f"city/{VERSION}/sample.json", "sample.json: Permission denied"),
        (TRACK, f"city/{VERSION}", "Permission denied"),
        (CREATE, f"city/{VERSION}/sample_annotation.json", "sample_annotation.json: Permission denied"),
        (EVALUATE, "tracks.json", "tracks.json: Permission denied"),
        (COMPARE, "other.json", "other.json: Permission denied"),
        (CONVERT, "weights.pth", "weights.pth: cannot be read: Permission denied"),
        (CURVES, "scalars.json", "scalars.json: Permission denied"),
        (VISUALIZE + "html", "tracks.json", "tracks.json: Permission denied"),
        *(
            (command, "out", f"/out/{output}: Permission denied")
            for command, output in (
                (TRACK, "tracks.json"),
                (CREATE, "nuscenes2d_temporal_infos_city_train.pkl"),
                (MAKE, "city"),
                (EVALUATE, "metrics_details.json"),
                (CONVERT, "weights.pth"),
                (CURVES, "curves.png"),
                (VISUALIZE + "html", "city-0002.html"),
                (VISUALIZE + "video", "city-0002.mp4"),
                (VISUALIZE + "png", "city-0002.png"),
                (VISUALIZE + "heat", "errors.png"),
                (VISUALIZE + "rerun", "city-0002.rrd"),
            )
        ),
    ],
)
def test_what_is_closed_is_named(
    command: str, closed: str, message: str, world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (world / closed).chmod(0o555 if closed == "out" else 0)
    code, _, error = run_as_ordinary_user(command.replace("{}", str(world)).split(), capfd)
    assert code == 2 and error.startswith(f"error: {world}") and message in error and error.count("\n") == 1, error
    assert list((world / "out").iterdir()) == []


def test_images_that_are_closed_are_grey(world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path in world.rglob("*.jpg"):
        path.chmod(0)
    code, printed, error = run_as_ordinary_user((VISUALIZE + "html").replace("{}", str(world)).split(), capfd)
    assert code == 0, error
    assert "6 images are missing or broken" in printed
