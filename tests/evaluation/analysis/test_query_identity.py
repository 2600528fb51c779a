"""What becomes of objects' queries, on boxes put where it is known whose they are."""

from collections.abc import Sequence

import numpy as np
import pytest

from evaluation.analysis.query_identity import faithfulness, query_steps, with_true_queries
from scenes import LABEL_OF_CLASS, NO_QUERY, Annotations, Boxes3D, Frame, InputError, Results, Scene
from scenes.geometry import pose_matrix, rotation_from_yaw

EGO = pose_matrix([600.0, 1600.0, 3.0], rotation_from_yaw(2.1)[0].tolist())
PLACES_M = ((10.0, 0.0), (12.0, 0.0), (30.0, 5.0), (0.0, 45.0))


def boxes(places_m: Sequence[Sequence[float]], queries: Sequence[int] | None, names: Sequence[str] | None) -> Boxes3D:
    count = len(places_m)
    return Boxes3D(
        center_m=np.c_[np.array(places_m, dtype=np.float64).reshape(-1, 2), np.zeros(count)],
        size_wlh_m=np.tile([2.0, 4.0, 1.5], (count, 1)),
        rotation=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        velocity_mps=np.zeros((count, 2)),
        label=np.full(count, LABEL_OF_CLASS["car"]),
        score=np.linspace(0.9, 0.5, count),
        query_id=None if queries is None else np.array(queries, dtype=np.int64),
        track_id=None if names is None else np.array(names, dtype=np.str_),
    ).transform(EGO)


def world(queries_of_frames: Sequence[Sequence[int | None] | None]) -> tuple[Results, list[Scene]]:
    """Four cars stand; a frame says which query finds each of them, None none."""
    ones = np.ones(len(PLACES_M), dtype=np.int64)
    annotated = Annotations(boxes(PLACES_M, None, list("abcd")), ones, ones, 4 * ones, Boxes3D.empty())
    frames = tuple(
        Frame(str(index), 500_000 * index, EGO, None, (), annotated) for index in range(len(queries_of_frames))
    )
    results = {}
    for index, queries in enumerate(queries_of_frames):
        found = [(place, query) for place, query in zip(PLACES_M, queries, strict=True) if query is not None]
        results[str(index)] = boxes([place for place, _ in found], [query for _, query in found], None)
    return Results(results), [Scene("s", "s", "", "", frames)]


def counts(*queries_of_frames: Sequence[int | None]) -> tuple[int, ...]:
    steps = query_steps(*world(queries_of_frames))
    return tuple(int(kind.sum()) for kind in (steps.kept, steps.swapped, steps.newborn, steps.broken))


def test_kinds_of_steps() -> None:
    assert counts([1, 2, 3, 4], [1, 2, 3, 4]) == (4, 0, 0, 0)
    assert counts([1, 2, 3, 4], [2, 1, 3, 4]) == (2, 2, 0, 0)
    assert counts([1, 2, 3, 4], [1, 2, 3, 9]) == (3, 0, 1, 0)
    assert counts([1, 2, 3, 4], [1, 2, 3, None], [1, 2, 3, 9]) == (6, 0, 0, 1)
    assert counts([1, 2, 3, 4], [1, 2, 3, None], [1, 2, 3, 4]) == (7, 0, 0, 0)


def test_a_query_of_an_object_that_is_gone_is_a_swap_and_ones_own_is_none() -> None:
    assert counts([1, 2, 3, 4], [1, 2, 3, None], [1, 2, 4, None]) == (5, 1, 0, 0)
    assert counts([1, 2, 3, 4], [1, 2, 3, 9], [1, 2, 3, 4]) == (6, 0, 2, 0)


def test_swaps_have_a_distance_and_steps_a_range() -> None:
    steps = query_steps(*world([[1, 2, 3, 4], [2, 1, 4, 3]]))
    assert sorted(steps.swap_distance_m.round(2)) == [2.0, 2.0, 50.0, 50.0]
    assert steps.near_swaps == 0.5
    assert steps.share(steps.swapped) == 1.0
    assert steps.kept_between(0.0, 20.0) == 0.0
    assert np.isnan(steps.kept_between(100.0, 200.0))


def test_detections_without_queries_are_refused() -> None:
    results, scenes = world([[1, 2, 3, 4]])
    bare = Results({token: boxes.replace(query_id=None) for token, boxes in results.boxes.items()})
    with pytest.raises(InputError, match="no box has a query_id"):
        query_steps(bare, scenes)


def test_an_oracle_names_what_is_found_and_nothing_else() -> None:
    results, scenes = world([[1, 2, 3, 4], [2, None, 9, 4]])
    far = boxes([(-30.0, -30.0)], [7], None)
    results.boxes["1"] = Boxes3D.concatenate([results.boxes["1"], far])
    named = with_true_queries(results, scenes)
    steps = query_steps(named, scenes)
    assert (len(steps), steps.changes) == (3, 0)
    assert named.boxes["1"].query_id.tolist()[-1] == NO_QUERY
    assert np.array_equal(named.boxes["1"].center_m, results.boxes["1"].center_m)


def test_the_table_names_shares_of_all_runs() -> None:
    runs = [query_steps(*world([[1, 2, 3, 4], queries])) for queries in ([2, 1, 3, 4], [1, 2, 3, 9])]
    lines = list(faithfulness(runs))
    assert lines[0] == "| 8 steps of objects | share |"
    assert "| query changed | 0.375 |" in lines
    assert "| of the changes: swapped with another object | 0.67 |" in lines
    assert "| of the changes: newborn | 0.33 |" in lines
