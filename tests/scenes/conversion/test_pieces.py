"""The pieces that converters are made of: key frames, points, times, lenses, pickles."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes import Boxes3D, InputError
from scenes.conversion.clock import time_in_exif, time_in_name, timestamp_us
from scenes.conversion.contents import check_end_of_image, path_below
from scenes.conversion.drive_tables import drive_of_file
from scenes.conversion.file_order import files_in
from scenes.conversion.key_frames import check_times, choose_key_frames, nearest_indices, recordings_of_key_frames
from scenes.conversion.lens import Lens
from scenes.conversion.point_files import read_point_file
from scenes.conversion.points_in_boxes import count_points
from scenes.conversion.pose_track import PoseTrack
from scenes.conversion.safe_pickle import frame_columns, read_pickle
from scenes.conversion.video_frames import VideoFrames
from scenes.conversion.yaml_text import quoted, read_yaml
from scenes.geometry import pose_matrix
from scenes.stamps import stamp_of

times = st.lists(st.integers(1_000, 400_000), min_size=0, max_size=40).map(
    lambda gaps: np.cumsum([1_000_000, *gaps]).tolist()
)


@given(times, st.one_of(st.none(), st.floats(0.1, 100.0)))
def test_key_frames_are_as_many_as_wanted(found: list[int], rate_hz: float | None) -> None:
    chosen = choose_key_frames(found, rate_hz).tolist()
    assert chosen[0] == 0 and chosen == sorted(set(chosen))
    if rate_hz is None:
        assert chosen == list(range(len(found)))
        return
    span_s = 1e-6 * (found[-1] - found[0])
    assert len(chosen) <= span_s * rate_hz + 1 + 0.5e-6 * rate_hz * max(np.diff(found), default=0)
    if len(found) > 1:  # every multiple of the interval has a key frame, the nearest there is
        for wanted in found[0] + 1e6 / rate_hz * np.arange(int(span_s * rate_hz) + 1):
            nearest = min(abs(np.array(found) - wanted))
            assert min(abs(np.array(found)[chosen] - wanted)) == pytest.approx(nearest, abs=1)


def test_ten_hz_becomes_two() -> None:
    assert choose_key_frames([100_000 * index for index in range(20)], 2.0).tolist() == [0, 5, 10, 15]


@given(times, times)
def test_recordings_and_key_frames_belong_together(recorded: list[int], keys: list[int]) -> None:
    pairs = recordings_of_key_frames(np.array(recorded), np.array(keys))
    assert len(set(pairs.values())) == len(pairs)
    for recording, key in pairs.items():
        gap = abs(recorded[recording] - keys[key])
        assert gap == min(abs(np.array(recorded) - keys[key])) == min(abs(np.array(keys) - recorded[recording]))
        assert gap <= 500_000


few_times = st.lists(st.integers(0, 30), max_size=12)  # so few that many lie in the middle of two


@given(few_times.map(sorted).map(dict.fromkeys).map(list).filter(len), few_times)
def test_nearest_of_two_as_near_is_the_earlier(found: list[int], wanted: list[int]) -> None:
    expected = [min(range(len(found)), key=lambda index: abs(found[index] - time)) for time in wanted]
    assert nearest_indices(np.array(found), np.array(wanted, dtype=np.int64)).tolist() == expected


LONG_DRIVE = """
import sys
from pathlib import Path
import numpy as np
from scenes import NUSCENES
from scenes.conversion.contents import Absent
from scenes.conversion.drive import Drive, DriveFrame, Recording, Sensor
from scenes.conversion.drive_tables import Naming, write_drive

def peak_kb():
    return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])

times_us = [1_600_000_000_000_000 + 100_000 * index for index in range(4000)]
recordings = [Recording(time, np.eye(4), Absent(".jpg")) for time in times_us]
camera = Sensor("CAM", "camera", np.eye(4), recordings, np.eye(3), (10, 10))
drive = Drive("long", [camera], [DriveFrame(time, str(time)) for time in times_us])
before = peak_kb()
tables, _ = write_drive(drive, Naming("v", "f", {}, NUSCENES), "here", Path(sys.argv[1]), None, True)
tokens = {row["timestamp"]: row["token"] for row in tables["sample"]}
assert all(row["sample_token"] == tokens[row["timestamp"]] for row in tables["sample_data"])
print(peak_kb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its peak")
def test_a_long_drive_is_written_in_memory_that_grows_as_it_does(tmp_path: Path) -> None:
    """In a process of its own, whose peak is not that of other tests."""
    found = subprocess.run([sys.executable, "-c", LONG_DRIVE, tmp_path], check=True, capture_output=True, text=True)
    assert 1024 * int(found.stdout) < 8 * 4000**2  # bytes of a number for each recording and key frame


@pytest.mark.parametrize("drive", ["a", "a__F", "F", "__F__"])
def test_files_tell_their_drive(drive: str) -> None:
    assert drive_of_file(f"{drive}__F__1600000000.pcd.bin", "F") == drive


def test_a_stamp_tells_of_every_change(tmp_path: Path) -> None:
    folder = tmp_path / "drive"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "images" / "round").symlink_to(folder)
    paths = [folder, tmp_path / "single"]
    stamps = [stamp_of(paths)]
    for name in ("drive/images/1.png", "drive/2.png", "elsewhere/3.png", "single"):
        (tmp_path / name).write_text("first")
        stamps.append(stamp_of(paths))
        (tmp_path / name).write_text("longer")
        stamps.append(stamp_of(paths))
        os.utime(tmp_path / name, ns=(0, 1))
        stamps.append(stamp_of(paths))
    (folder / "2.png").rename(folder / "4.png")
    stamps.append(stamp_of(paths))
    (folder / "4.png").unlink()
    stamps.append(stamp_of(paths))
    assert len(set(stamps)) == len(stamps)
    (tmp_path / "other_way").symlink_to(tmp_path)
    assert stamp_of([tmp_path / "other_way" / path.name for path in paths]) == stamps[-1]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([5, 5], "time 5 us is there twice"),
        ([7, 5], "time 5 us comes after 7 us"),
        ([0, 100], r"lie 0\.0001 s apart; are they in other units\?"),
        ([0, 100_000_000], "lie 100 s apart"),
        ([-1], "are no times"),
        ([2**60], "are no times"),
    ],
)
def test_times_that_cannot_be_are_named(found: list[int], said: str) -> None:
    with pytest.raises(InputError, match=f"^here: .*{said}"):
        check_times(found, "here")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_points_are_counted_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 6))
    boxes = Boxes3D(
        center_m=rng.uniform(-5, 5, (count, 3)),
        size_wlh_m=rng.uniform(0.1, 6, (count, 3)),
        rotation=Rotation.random(count, random_state=seed).as_quat(scalar_first=True) if count else np.zeros((0, 4)),
        velocity_mps=np.zeros((count, 2)),
        label=np.zeros(count),
        score=np.ones(count),
    )
    points = rng.uniform(-8, 8, (int(rng.integers(0, 200)), 3))
    expected = []
    for box in range(count):
        width, length, height = boxes.size_wlh_m[box]
        turn = Rotation.from_quat(boxes.rotation[box], scalar_first=True).inv()
        inside = 0
        for x, y, z in turn.apply(points - boxes.center_m[box]) if len(points) else ():
            inside += bool(abs(x) <= length / 2 and abs(y) <= width / 2 and abs(z) <= height / 2)
        expected.append(inside)
    assert count_points(points, boxes).tolist() == expected


@pytest.mark.parametrize("kind", ["bin4", "bin5", "npy", "ascii", "binary"])
def test_point_clouds_are_read(kind: str, tmp_path: Path) -> None:
    points = np.array([[1.5, -2.0, 0.25, 17.0], [3.0, 4.0, 5.0, 255.0]], dtype=np.float32)
    header = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y intensity z\nSIZE 4 4 2 8\nTYPE F F U F\nCOUNT 1 1 1 1\nWIDTH 2\n"
    header += "HEIGHT 1\nPOINTS 2\nDATA "
    swapped = [(x, y, int(i), z) for x, y, z, i in points.tolist()]
    if kind == "ascii":
        path = tmp_path / "cloud.pcd"
        path.write_text(f"{header}ascii\n" + "\n".join(" ".join(map(str, row)) for row in swapped))
    elif kind == "binary":
        path = tmp_path / "cloud.pcd"
        rows = np.array(swapped, dtype=[("x", "<f4"), ("y", "<f4"), ("i", "<u2"), ("z", "<f8")])
        path.write_bytes(f"{header}binary\n".encode() + rows.tobytes())
    elif kind == "npy":
        path = tmp_path / "cloud.npy"
        np.save(path, points)
    else:
        path = tmp_path / "cloud.bin"
        path.write_bytes(np.column_stack([points, *([[7, 8]] if kind == "bin5" else [])]).astype("<f4").tobytes())
    read = read_point_file(path, 4 if kind == "bin4" else 5)
    assert read.dtype == np.float32 and np.array_equal(read[:, :4], points)
    assert read[:, 4].tolist() == ([7, 8] if kind == "bin5" else [0, 0])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=str(path)):
        read_point_file(path, 4 if kind == "bin4" else 5)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("1600000000.123456", None, 1_600_000_000_123_456),
        ("1600000000123", None, 1_600_000_000_123_000),
        ("1600000000123456", None, 1_600_000_000_123_456),
        ("1600000000123456789", None, 1_600_000_000_123_457),
        ("12.5", None, 12_500_000),
        ("12.5", "ms", 12_500),
        ("0", None, 0),
    ],
)
def test_times_tell_their_unit(text: str, unit: str | None, expected: int) -> None:
    assert timestamp_us(text, unit, "here") == expected


@pytest.mark.parametrize("text", ["noon", "-1", "nan", "inf", "1e30", ""])
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: '.*' is no time$"):
        timestamp_us(text, None, "here")


def test_names_and_exif_tell_times(tmp_path: Path) -> None:
    assert time_in_name(Path("cam_1/left_1600000000.25.jpg"), None) == 1_600_000_000_250_000
    assert time_in_name(Path("000017.jpg"), "ms") == 17_000
    with pytest.raises(InputError, match=r"17\.jpg: 000017 counts images; give the camera's rate"):
        time_in_name(Path("000017.jpg"), None)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2020:09:13 12:26:40"
    exif.get_ifd(0x8769)[0x9291] = "25"
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg", exif=exif)
    assert time_in_exif(tmp_path / "photo.jpg") == 1_600_000_000_250_000
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.jpg")
    with pytest.raises(InputError, match=r"plain\.jpg: EXIF tells no time"):
        time_in_exif(tmp_path / "plain.jpg")


@pytest.mark.parametrize("model", ["pinhole", "fisheye"])
def test_a_lens_draws_straight_lines(model: str) -> None:
    """Points that a lens has bent stand where the pinhole matrix alone puts them."""
    matrix = np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]])
    coefficients = [-0.3, 0.08, 0.001, -0.001, 0.0] if model == "pinhole" else [0.1, -0.05, 0.01, 0.0]
    rays = np.array([[x, y, 1.0] for x in (-0.4, 0.0, 0.4) for y in (-0.3, 0.0, 0.3)])
    project = cv2.projectPoints if model == "pinhole" else None
    if project:
        bent = project(rays, np.zeros(3), np.zeros(3), matrix, np.array(coefficients))[0].reshape(-1, 2)
    else:
        bent = cv2.fisheye.distortPoints(rays[:, None, :2], matrix, np.array(coefficients)).reshape(-1, 2)
    image = np.zeros((240, 320, 3), dtype=np.uint8)
    for x, y in bent:
        cv2.circle(image, (round(16 * x), round(16 * y)), 16 * 3, (255, 255, 255), -1, shift=4)
    straight = Lens(matrix, (320, 240), model, coefficients).undistort(image)
    for x, y in (rays @ matrix.T)[:, :2]:
        window = straight[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9, 0].astype(float)
        rows, columns = np.mgrid[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9]
        center = np.array([(columns * window).sum(), (rows * window).sum()]) / window.sum()
        assert np.abs(center - [x, y]).max() < 0.3


def test_frames_of_a_video_are_read_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 8.0, (64, 48))
    for frame in range(6):
        writer.write(np.full((48, 64, 3), 40 * frame, dtype=np.uint8))
    writer.release()
    video = VideoFrames(path)
    assert (video.count, video.size_px, video.rate_hz) == (6, (64, 48), 8.0)
    for frame in (0, 3, 5, 1):
        assert abs(video.frame(frame).mean() - 40 * frame) < 4
    with pytest.raises(InputError, match="frame 6 cannot be decoded"):
        video.frame(6)
    path.write_text("no video")
    with pytest.raises(InputError, match=r"video\.mp4: no video, or one without frames"):
        VideoFrames(path)


def test_poses_between_poses_are_interpolated() -> None:
    turn = pose_matrix((2.0, 0, 0), Rotation.from_euler("z", 1.0).as_quat(scalar_first=True).tolist())
    track = PoseTrack(np.array([10, 0]), np.stack([turn, np.eye(4)]), Path("ego.csv"), "us", 20)
    middle = track.at(5, "it")
    assert middle[:3, 3].tolist() == [1, 0, 0] and np.arctan2(middle[1, 0], middle[0, 0]) == pytest.approx(0.5)
    assert track.at(0, "it")[0, 3] == 0 and track.at(-10, "it")[0, 3] == 0 and track.at(20, "it")[0, 3] == 2
    with pytest.raises(InputError, match=r"ego\.csv: no pose near 21 us, the time of it"):
        track.at(21, "it")


def _table(path: Path) -> bytes:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"x": [1.0, 2.0], "n": [3, 4], "s": pandas.Series(["a", "b"], dtype=object)})
    table.columns = pandas.Index(["x", "n", "s"], dtype=object)
    table.to_pickle(path)
    return path.read_bytes()


def test_a_table_is_unpickled_without_pandas(tmp_path: Path) -> None:
    path = tmp_path / "table.pkl"
    _table(path)
    columns = frame_columns(read_pickle(path), path)
    assert {name: values.tolist() for name, values in columns.items()} == {
        "x": [1.0, 2.0],
        "n": [3, 4],
        "s": ["a", "b"],
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_broken_pickle_is_named_or_read(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "table.pkl"
    content = bytearray(_table(path))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        frame_columns(read_pickle(path), path)
    except InputError as error:
        assert str(error).startswith(str(path))


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch harm'\ntR.",
        b'cbuiltins\neval\n(S\'open("harm", "w")\'\ntR.',
        pickle.dumps(Path("harm")),
        b"cnumpy\nload\n(S'harm'\ntR.",
        b"ctorch.storage\n_load_from_bytes\n(C\x04abcdtR.",
    ],
)
def test_a_pickle_of_anything_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.pkl").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pkl: no pickle that can be used"):
        read_pickle(tmp_path / "bad.pkl")


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "", "a\0b"])
def test_paths_stay_below_the_source(name: str) -> None:
    with pytest.raises(InputError, match=r"^list, line 3: .* is no path below source$"):
        path_below(Path("source"), name, "list, line 3")
    assert path_below(Path("source"), "a/b.png", "list") == Path("source/a/b.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_images_without_an_end_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8))
    check_end_of_image(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="the image is cut off"):
        check_end_of_image(path)


def test_files_are_counted_as_a_person_would(tmp_path: Path) -> None:
    names = ["a2.png", "a2b.png", "a007.png", "a7.png", "a10.png", "b1_9.png", "b1_10.png", "no number.png"]
    for name in [*names, "._a1.png", "a3.txt"]:
        (tmp_path / name).touch()
    assert [path.name for path in files_in(tmp_path, (".png",))] == names


@pytest.mark.parametrize("text", ["1e-05", "1E5", "-2.e+3", "+.5e1", "1.5", "12"])
def test_numbers_of_yaml_are_those_of_python(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"a: {text}\nb: x{text}\nc: '{text}'\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": float(text), "b": f"x{text}", "c": text}


def test_merged_keys_may_be_there_already(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: *b, x: 4}\n")
    assert read_yaml(tmp_path / "a.yaml")["c"] == {"x": 4, "y": 3}
    (tmp_path / "a.yaml").write_text('a:\n  x: 1\n  "x": 2\n')
    with pytest.raises(InputError, match=r"a\.yaml:3: the key 'x' is in line 2 already"):
        read_yaml(tmp_path / "a.yaml")


@given(st.text(min_size=1))
def test_quoted_text_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "quoted.yaml"
    path.write_text(f"{quoted(text)}: [{quoted(text)}]  # and more\n", encoding="utf-8")
    assert read_yaml(path) == {text: [text]}
