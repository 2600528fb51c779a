"""Result files of any content are told or refused, and never end in an exception."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import InputError, read_detections
from scenes.city import VERSION, make_city
from scenes.doctor import DataRoot, Severity
from scenes.doctor.results import check_results

from .faults import results

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.floats(), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    out = tmp_path_factory.mktemp("doctor") / "city"
    make_city(out, train_scenes=0, val_scenes=1, frames=3, images=False, seed=3, workers=1)
    return DataRoot(out, VERSION)


@pytest.fixture(scope="module")
def good(root: DataRoot) -> dict[str, Any]:
    tables = {path.stem: json.loads(path.read_text()) for path in root.folder.glob("*.json") if path.stem != "splits"}
    return results(tables)


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_stands_in_a_file_is_told(
    data: st.DataObject, root: DataRoot, good: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = copy.deepcopy(good)
    token = data.draw(st.sampled_from(sorted(content["results"])))
    boxes = content["results"][token]
    at = data.draw(st.integers(0, len(boxes) - 1))
    where = data.draw(st.sampled_from(["key", "box", "sample", "results"]))
    if where == "key":
        boxes[at][data.draw(st.sampled_from(sorted(boxes[at])))] = data.draw(JUNK)
    elif where == "box":
        boxes[at] = data.draw(JUNK)
    elif where == "sample":
        content["results"][token] = data.draw(JUNK)
    else:
        content["results"] = data.draw(JUNK)
    path: Path = tmp_path_factory.mktemp("results") / "results.json"
    path.write_text(json.dumps(content))
    try:
        found = list(check_results(root, path))
    except InputError:
        assert where == "results"
        return
    try:
        read_detections(path)
    except InputError:
        assert any(finding.check == "results-refused" and finding.severity is Severity.ERROR for finding in found)


def test_a_good_file_is_good(root: DataRoot, good: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(good))
    assert list(check_results(root, path)) == []
    path.write_text(json.dumps({"meta": {}, "results": {token: [] for token in good["results"]}}))
    assert list(check_results(root, path)) == []
