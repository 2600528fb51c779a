"""Scenes of large tables are those of small ones: read at first, from the store, after changes and after accidents."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import InputError, Scene, read_scenes, tables
from scenes.city import VERSION
from scenes.large_tables import scene_store, wanted_rows
from scenes.large_tables.cache_files import read_cache_file, write_cache_file

ROOT = Path(__file__).resolve().parents[3]
OLD = 1_600_000_000


def settle(root: Path) -> None:
    """Let the tables be of long ago."""
    for path in root.rglob("*.json"):
        os.utime(path, (OLD, OLD))


def read_directly(*arguments: Any, **options: Any) -> list[Scene]:
    """As small tables are read, whatever their size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_store, "_SMALLEST_STORED", 1 << 60)
        return read_scenes(*arguments, **options)


def assert_same(one: Any, other: Any) -> None:
    """Two values are the same to the last bit, and of the same types."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype.kind == other.dtype.kind and one.shape == other.shape
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        assert one.dtype.kind == "U" or one.dtype == other.dtype
    else:
        assert one == other


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which scenes are kept, of tables of any size."""
    monkeypatch.setenv("STREAMTRACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scene_store, "_SMALLEST_STORED", 0)
    return tmp_path / "cache"


@pytest.fixture
def city(plain_city: Path, tmp_path: Path) -> Path:
    """A copy of a city's tables, of long ago."""
    shutil.copytree(plain_city / VERSION, tmp_path / "city" / VERSION)
    settle(tmp_path / "city")
    return tmp_path / "city"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that were decoded, whole or in part, as they are."""
    names: list[str] = []
    original = wanted_rows.decode_table

    def noted(path: Path, *arguments: Any) -> Any:
        names.append(path.stem)
        return original(path, *arguments)

    monkeypatch.setattr(wanted_rows, "decode_table", noted)
    return names


@pytest.fixture(scope="module")
def random_world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Tables of a tiny city in another order, another layout, with sweeps and with odd rows."""
    from scenes.city import make_city

    source = tmp_path_factory.mktemp("tiny") / "city"
    make_city(source, train_scenes=2, val_scenes=2, frames=3, seed=8, images=False, workers=1)
    contents = {path.stem: json.loads(path.read_text()) for path in (source / VERSION).glob("*.json")}

    def make(seed: int) -> Path:
        rng = random.Random(seed)
        root = tmp_path_factory.mktemp("world")
        made = json.loads(json.dumps(contents))
        add_sweeps(made, rng)
        add_strays(made, rng)
        if rng.random() < 0.3:
            share_poses(made)
        if rng.random() < 0.3:
            drop_lidar(made)
        if rng.random() < 0.2:
            made["sample_annotation"] = []
        (root / VERSION).mkdir()
        for name, rows in made.items():
            if name != "splits" and rng.random() < 0.5:
                rng.shuffle(rows)
            if name != "splits" and rng.random() < 0.5:
                rows = [dict(rng.sample(list(row.items()), len(row))) for row in rows]
            text = json.dumps(rows, indent=rng.choice([None, 0, 2]), separators=rng.choice([None, (",", ":")]))
            (root / VERSION / f"{name}.json").write_text(text)
        settle(root)
        return root

    return make


def add_sweeps(made: dict[str, Any], rng: random.Random) -> None:
    for row in list(made["sample_data"]):
        for number in range(rng.randrange(3)):
            token = f"{row['token'][:-3]}s{number}é"
            made["sample_data"].append(row | {"token": token, "ego_pose_token": token, "is_key_frame": False})
            made["ego_pose"].append(
                {"token": token, "timestamp": 0, "rotation": [1, 0, 0, 0], "translation": [0, 0, 0]}
            )


def add_strays(made: dict[str, Any], rng: random.Random) -> None:
    """Rows that belong to no sample."""
    for name in ("sample_data", "sample_annotation"):
        row = rng.choice(made[name])
        made[name].append(row | {"token": f"stray {name}", "sample_token": "nowhere", "prev": "", "next": ""})


def share_poses(made: dict[str, Any]) -> None:
    """All recordings of all key frames refer to one pose."""
    for row in made["sample_data"]:
        row["ego_pose_token"] = made["ego_pose"][0]["token"]


def drop_lidar(made: dict[str, Any]) -> None:
    """From the first scene only."""
    (lidar,) = (row["token"] for row in made["sensor"] if row["channel"] == "LIDAR_TOP")
    mounted = {row["token"] for row in made["calibrated_sensor"] if row["sensor_token"] == lidar}
    first = {row["token"] for row in made["sample"] if row["scene_token"] == made["scene"][0]["token"]}
    made["sample_data"] = [
        row
        for row in made["sample_data"]
        if row["sample_token"] not in first or row["calibrated_sensor_token"] not in mounted
    ]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([None, "city_val", "city_train"]), st.booleans(), st.booleans())
def test_scenes_are_those_of_the_direct_read(
    random_world: Callable[[int], Path], seed: int, split: str | None, annotations: bool, cameras: bool
) -> None:
    root = random_world(seed)
    wanted = read_directly(root, VERSION, split, annotations=annotations, cameras=cameras)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMTRACK_CACHE", str(root / "cache"))
        patch.setattr(scene_store, "_SMALLEST_STORED", 0)
        patch.setattr(tables, "_SCENES_AT_A_TIME", 1)
        first = read_scenes(root, VERSION, split, annotations=annotations, cameras=cameras)
        assert list((root / "cache").rglob("*.scene"))
        patch.setattr(tables._TableReader, "scenes", None)
        later = read_scenes(root, VERSION, split, annotations=annotations, cameras=cameras)
    assert_same(first, wanted)
    assert_same(later, wanted)


def test_only_missing_scenes_are_decoded(cache: Path, city: Path, decoded: list[str]) -> None:
    read_scenes(city, VERSION, "city_train")
    assert set(decoded) == {"sample_data", "ego_pose", "sample_annotation"}
    assert len(list(cache.rglob("*.scene"))) == 1
    whole = read_scenes(city, VERSION)
    assert len(list(cache.rglob("*.scene"))) == 5
    decoded.clear()
    assert_same(read_scenes(city, VERSION), whole)
    assert decoded == []


def test_changed_tables_are_read_again(cache: Path, city: Path) -> None:
    before = read_scenes(city, VERSION)
    path = city / VERSION / "sample_annotation.json"
    content = path.read_text()
    path.write_text(content.replace('"num_lidar_pts":1', '"num_lidar_pts":2'))
    assert len(path.read_text()) == len(content) and path.read_text() != content
    os.utime(path, (OLD + 1, OLD + 1))
    after = read_scenes(city, VERSION)
    assert_same(after, read_directly(city, VERSION))
    with pytest.raises(AssertionError):
        assert_same(after, before)


def test_replaced_tables_of_the_same_size_and_time_are_read_again(cache: Path, city: Path) -> None:
    """As after a copy that keeps times: the content is looked at, too."""
    read_scenes(city, VERSION)
    path = city / VERSION / "log.json"
    rows = json.loads(path.read_text())
    rows[0]["location"] = rows[0]["location"][::-1]
    path.write_text(json.dumps(rows))
    os.utime(path, (OLD, OLD))
    assert_same(read_scenes(city, VERSION), read_directly(city, VERSION))


def test_other_classes_are_read_again(cache: Path, city: Path) -> None:
    read_scenes(city, VERSION)
    (city / "classes.json").write_text(json.dumps([{"name": "car", "range_m": 50, "categories": ["vehicle.car"]}]))
    own = read_scenes(city, VERSION)
    assert_same(own, read_directly(city, VERSION))
    assert own[0].taxonomy.names == ("car",)


def test_tables_that_may_still_change_are_not_kept(cache: Path, city: Path) -> None:
    os.utime(city / VERSION / "sample.json")
    read_scenes(city, VERSION)
    assert not list(cache.rglob("*.scene")) and not list(cache.rglob("rows"))
    os.utime(city / VERSION / "sample.json", (time.time() - 60,) * 2)
    read_scenes(city, VERSION)
    assert len(list(cache.rglob("*.scene"))) == 5


@pytest.mark.parametrize("kind", ["*.scene", "rows"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_broken_files_are_replaced(cache: Path, city: Path, kind: str, damage: str) -> None:
    wanted = read_scenes(city, VERSION)
    path = sorted(cache.rglob(kind))[0]
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:middle],
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
            "other": b"no such file" * 100,
        }[damage]
    )
    if kind == "rows":
        sorted(cache.rglob("*.scene"))[0].unlink()  # so that the places are asked for
    assert_same(read_scenes(city, VERSION), wanted)
    assert path.read_bytes() == content


def test_a_file_that_is_whole_and_holds_something_else_is_not_used(cache: Path, city: Path) -> None:
    wanted = read_scenes(city, VERSION)
    store = scene_store.SceneStore.of(city, VERSION)
    assert store is not None
    scenes = sorted(cache.rglob("*.scene"))
    other = read_cache_file(scenes[1], store.stamp)
    assert other is not None
    write_cache_file(scenes[0], store.stamp, bytes(other))
    write_cache_file(scenes[2], store.stamp, b"\x93\x01\x02\x03")
    write_cache_file(store.folder / "rows", store.stamp, b"\x90")
    assert_same(read_scenes(city, VERSION), wanted)


def test_many_may_write_at_once(cache: Path, city: Path) -> None:
    wanted = read_directly(city, VERSION)
    with ThreadPoolExecutor(8) as threads:
        for scenes in threads.map(lambda _: read_scenes(city, VERSION), range(8)):
            assert_same(scenes, wanted)
    assert not list(cache.rglob("*.tmp"))
    assert_same(read_scenes(city, VERSION), wanted)


def test_a_folder_that_cannot_be_written_is_one_warning(
    city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scene_store, "_SMALLEST_STORED", 0)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("STREAMTRACK_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert_same(read_scenes(city, VERSION), read_directly(city, VERSION))
    (record,) = caplog.records
    assert record.levelname == "WARNING" and str(tmp_path / "file") in record.getMessage()


def test_nothing_of_the_data_root_is_written(city: Path, cache: Path) -> None:
    """Data roots that can only be read are as good as others."""
    before = sorted(path for path in city.rglob("*"))
    read_scenes(city, VERSION)
    assert sorted(path for path in city.rglob("*")) == before
    assert len(list(cache.rglob("*.scene"))) == 5


def test_faults_of_rows_that_nobody_needs_are_not_looked_for(cache: Path, city: Path) -> None:
    """Of large tables the rows of other scenes are not decoded; whoever asks for those hears of them."""
    train = read_scenes(city, VERSION, "city_train")[0]
    path = city / VERSION / "sample_annotation.json"
    rows = json.loads(path.read_text())
    broken = next(row for row in rows if row["sample_token"] not in train.sample_tokens)
    broken["size"] = "big"
    path.write_text(json.dumps(rows))
    assert_same(read_scenes(city, VERSION, "city_train"), [train])
    with pytest.raises(InputError, match=f"row '{broken['token']}', key size: Expected `array`"):
        read_scenes(city, VERSION, "city_val")
    assert len(read_scenes(city, VERSION, "city_val", annotations=False)) == 4


def test_images_move_with_the_data_root(cache: Path, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One folder under two names, such as a relative one: paths are below the name that was given."""
    read_scenes(city, VERSION)
    monkeypatch.chdir(city.parent)
    scene = read_scenes("city", VERSION)[0]
    assert scene.frames[0].cameras[0].image_path.parts[0] == "city"


def test_a_process_that_reads_from_the_store_needs_no_compiler(cache: Path, city: Path) -> None:
    read_scenes(city, VERSION)
    program = (
        "import sys, scenes.large_tables.scene_store as store\nstore._SMALLEST_STORED = 0\n"
        f"from scenes import read_scenes\nread_scenes({str(city)!r}, {VERSION!r})\nprint('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
