"""RayDN: everything recorded agrees; queries that lie a little elsewhere do not."""

from pathlib import Path

import numpy as np
import pytest

from detection.models.heads.query_head import QueryHead
from parity.checks import check_file
from parity.comparison import Comparison
from parity.methods_rule import MethodsRule
from parity.models import RecordedModel, Workshop
from parity.ray_queries import compare_ray_queries, ray_cases


@pytest.fixture(scope="module")
def methods(recordings: Path, workshop: Workshop) -> MethodsRule:
    """The rule of these recordings."""
    return MethodsRule(recordings / "golden_methods", workshop.rule)


@pytest.fixture(scope="module")
def head(workshop: Workshop) -> QueryHead:
    """Of the recorded model."""
    made: QueryHead = workshop.bare(RecordedModel("raydn_r50_704_bs2_seq_428q_nui_60e")).pts_bbox_head
    return made


@pytest.mark.parametrize(
    ("array", "change"), [("labels", 1), ("map_known_indice", 1), ("reference_points_dn", 3e-6), ("attn_mask", True)]
)
def test_changed_queries_are_found(
    array: str, change: float, recordings: Path, workshop: Workshop, methods: MethodsRule, head: QueryHead
) -> None:
    prefix = "corner_"
    with np.load(recordings / "golden_methods" / "raydn_r50.npz") as file:
        arrays = {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
    case = ray_cases(workshop, methods)["corner"]
    good, bad = Comparison(), Comparison()
    compare_ray_queries(good, "corner", case, head, methods, arrays)
    assert good.agrees, str(good.worst)
    changed = arrays[array].copy()
    changed.flat[7] = not changed.flat[7] if array == "attn_mask" else changed.flat[7] + change
    compare_ray_queries(bad, "corner", case, head, methods, {**arrays, array: changed})
    assert not bad.agrees and bad.worst is not None and bad.worst.array == f"corner_{array}"


@pytest.mark.slow
def test_recording_agrees(recordings: Path, workshop: Workshop) -> None:
    report = check_file(recordings / "golden_methods" / "raydn_r50.json", workshop)
    assert report.comparison is not None and report.agrees, str(report)
    assert len(report.comparison.compared) > 850
