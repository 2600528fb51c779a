"""The doctor finds each fault that is put into a good data root, and nothing in the good one."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import InputError, read_scenes
from scenes.city import VERSION, make_city
from scenes.doctor import DataRoot, Diagnosis, Severity, examine, only_version

from .faults import FAULTS, Fault, Tables, results


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("doctor") / "city"
    make_city(out, train_scenes=1, val_scenes=1, frames=6, image_size=(176, 99), seed=3, workers=1)
    return out


@pytest.fixture(scope="module")
def tables(city: Path) -> Tables:
    return {
        path.stem: json.loads(path.read_text()) for path in (city / VERSION).glob("*.json") if path.stem != "splits"
    }


def write_root(root: Path, city: Path, tables: Tables, with_images: bool) -> None:
    """A copy of the city with other tables. Without images it is looked through faster."""
    shutil.copytree(city / VERSION, root / VERSION)
    if with_images:
        shutil.copytree(city / "samples", root / "samples")
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))


def findings_of(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(one.severity.value, one.check) for one in diagnosis.findings if one.severity is not Severity.NOTE]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found(fault: Fault, city: Path, tables: Tables, tmp_path: Path) -> None:
    changed = copy.deepcopy(tables)
    if fault.tables:
        fault.tables(changed)
    root = tmp_path / "root"
    write_root(root, city, changed, with_images=fault.finds.startswith("image"))
    if fault.files:
        fault.files(root, changed)
    file = None
    if fault.results:
        file = tmp_path / "results.json"
        file.write_text(json.dumps(fault.results(changed)))
    diagnosis = examine(DataRoot(root, VERSION), file)
    found = {finding.check: finding for finding in diagnosis.findings}
    assert fault.finds in found, sorted(found)
    finding = found[fault.finds]
    assert finding.severity is not Severity.NOTE
    assert finding.count > 0
    assert finding.example.text
    assert {check for _, check in findings_of(diagnosis)} - {fault.finds} == set(fault.also)


def test_faults_have_names_of_their_own_and_are_many() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 25


def test_the_page_lists_all_faults() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (?:error|warning) \| [^|]* \| ([^|]*) \|$", page, re.M)
    listed = {(check, name) for check, names in rows for name in names.split("; ")}
    assert listed == {(fault.finds, fault.name) for fault in FAULTS}
    assert f"{len(FAULTS)}, all found" in page.replace("\n", " ")


def test_nothing_is_found_in_a_good_city(city: Path, tables: Tables, tmp_path: Path) -> None:
    for task in ("detection", "tracking"):
        file = tmp_path / "results.json"
        file.write_text(json.dumps(results(tables, task=task)))
        diagnosis = examine(DataRoot(city, VERSION), file)
        assert diagnosis.findings == ()
    assert (diagnosis.scenes, diagnosis.frames, diagnosis.images) == (2, 12, 72)
    assert diagnosis.boxes == len(tables["sample_annotation"])


def test_nothing_is_found_in_a_city_of_rare_things(tmp_path: Path) -> None:
    out = tmp_path / "city"
    make_city(out, train_scenes=2, val_scenes=0, frames=8, images=False, mix="balanced", seed=7, workers=1)
    assert findings_of(examine(DataRoot(out, VERSION))) == []


@pytest.mark.parametrize(
    ("root", "results_file"),
    [
        ("nuscenes_mini_val", "detections/fastbev.json"),
        ("nuscenes_mini_val", "detections/cc_3dt.json"),
        ("nuscenes_mini_val", "expected/fastbev/tracks_polymot.json"),
        ("nuscenes_mini_train", "detections/megvii_mini_train.json"),
    ],
)
def test_nothing_is_found_in_real_data(root: str, results_file: str, shared: Path) -> None:
    diagnosis = examine(DataRoot(shared / root, "v1.0-mini"), shared / results_file)
    assert [finding.check for finding in diagnosis.findings] == ["images-absent"]
    assert findings_of(diagnosis) == []


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.floats(), max_size=5),
    st.lists(st.integers(-3, 3), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def bare_root(city: Path, tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bare") / "root"
    write_root(root, city, tables, with_images=False)
    return root


@settings(max_examples=20)
@given(data=st.data())
def test_whatever_stands_in_the_tables_is_told(data: st.DataObject, bare_root: Path, tables: Tables) -> None:
    """No content of a row ends in an exception; what the readers refuse is an error here."""
    changed: dict[str, list[Any]] = dict(tables)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(tables)))
        rows = list(changed[name])
        at = data.draw(st.integers(0, len(rows) - 1))
        if isinstance(rows[at], dict) and data.draw(st.integers(0, 9)):
            key = data.draw(st.sampled_from(sorted(rows[at])))
            rows[at] = {**rows[at], key: data.draw(JUNK)}
        else:
            rows[at] = data.draw(JUNK)
        changed[name] = rows
    for name in tables:
        path = bare_root / VERSION / f"{name}.json"
        path.write_text(json.dumps(changed[name]))
    diagnosis = examine(DataRoot(bare_root, VERSION))
    try:
        read_scenes(bare_root, VERSION)
    except InputError:
        assert diagnosis.count(Severity.ERROR) > 0


def test_halves_of_characters_and_endless_numbers_are_told(city: Path, tables: Tables, tmp_path: Path) -> None:
    write_root(tmp_path / "root", city, tables, with_images=False)
    path = tmp_path / "root" / VERSION / "sample.json"
    text = path.read_text()
    token = tables["sample"][0]["token"]
    path.write_text(text.replace(token, token[:-6] + "\\ud800", 1))
    diagnosis = examine(DataRoot(tmp_path / "root", VERSION))
    assert diagnosis.count(Severity.ERROR) > 0
    assert msgspec.json.encode(diagnosis)
    path.write_text(text.replace('"timestamp": ', '"timestamp": NaN, "more": 1' + "0" * 400 + ', "was": ', 1))
    assert "not-a-number" in {finding.check for finding in examine(DataRoot(tmp_path / "root", VERSION)).findings}


@pytest.mark.parametrize(
    "name", ["scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sample_annotation"]
)
def test_empty_tables_are_told(name: str, city: Path, tables: Tables, tmp_path: Path) -> None:
    write_root(tmp_path / "root", city, {**tables, name: []}, with_images=False)
    diagnosis = examine(DataRoot(tmp_path / "root", VERSION))
    assert diagnosis.count(Severity.ERROR) > 0 or name == "sample_annotation"


def test_a_root_of_empty_tables_is_nothing_to_look_at(city: Path, tables: Tables, tmp_path: Path) -> None:
    write_root(tmp_path / "root", city, {name: [] for name in tables}, with_images=False)
    (tmp_path / "root" / VERSION / "splits.json").unlink()
    with pytest.raises(InputError, match="no key frame, there is nothing to look at"):
        examine(DataRoot(tmp_path / "root", VERSION))


def test_the_only_version_is_chosen(city: Path, tmp_path: Path) -> None:
    assert only_version(city) == VERSION
    with pytest.raises(InputError, match="no folder in it holds"):
        only_version(tmp_path)
    for name in ("a", "b"):
        shutil.copytree(city / VERSION, tmp_path / name)
    with pytest.raises(InputError, match="a, b; choose one"):
        only_version(tmp_path)
