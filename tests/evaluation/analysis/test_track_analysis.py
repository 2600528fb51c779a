"""The analysis adds up to the official numbers, and names what was done to the tracks."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.analysis.track_analysis import analyse_tracks
from evaluation.evaluation import Evaluation
from evaluation.tracking import tracking_metrics
from scenes import Annotations, Boxes3D, Frame, Results, Scene, read_scenes, read_tracks
from scenes.classes import LABEL_OF_CLASS
from scenes.geometry import pose_matrix, rotation_from_yaw

N_FRAMES = 10
EGO = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Where the ego begins: far from the origin, and turned. Boxes are placed as it sees them from there."""
STEP_M = 1.0
"""What it drives from frame to frame."""


@pytest.fixture(scope="module")
def analysed(request) -> tuple[Evaluation, dict]:
    shared = request.getfixturevalue("shared")
    scenes = read_scenes(shared / "nuscenes_mini_val", "v1.0-mini", "mini_val")
    tracks = read_tracks(shared / "expected" / "cc3dt" / "tracks_polymot.json")
    evaluation = tracking_metrics(tracks, scenes)
    return evaluation, analyse_tracks(tracks, scenes, evaluation)


def total(errors: dict[str, int], *kinds: str) -> int:
    return sum(errors[kind] for kind in kinds)


def test_errors_by_kind_add_up_to_the_official_counts(analysed) -> None:
    evaluation, analysis = analysed
    official = evaluation.summary["label_metrics"]
    for name, errors in analysis["errors"].items():
        assert total(errors, "never", "birth", "gap", "loss") == official["fn"][name]
        assert total(errors, "duplicate", "class", "location", "background") == official["fp"][name]
        assert total(errors, "swap", "rebirth") == official["ids"][name]


@pytest.mark.parametrize("part", ["range_m", "speed_mps"])
def test_parts_add_up_to_the_official_counts(part, analysed) -> None:
    evaluation, analysis = analysed
    for name, by_part in analysis["breakdown"].items():
        for metric in ("gt", "fn", "ids", "fp"):
            counted = sum(values[metric] for values in by_part[part].values())
            # A box without a known velocity belongs to no part by speed.
            assert counted <= evaluation.summary["label_metrics"][metric][name]
            if part == "range_m":
                assert counted == evaluation.summary["label_metrics"][metric][name]


def test_visibility_has_no_false_positives(analysed) -> None:
    evaluation, analysis = analysed
    for name, by_part in analysis["breakdown"].items():
        parts = by_part["visibility"].values()
        assert sum(part["gt"] for part in parts) == evaluation.summary["label_metrics"]["gt"][name]
        assert all(np.isnan(part["fp"]) and np.isnan(part["mota"]) for part in parts)


def test_mending_nothing_gives_amota_and_mending_something_never_less(analysed) -> None:
    evaluation, analysis = analysed
    for name, oracles in analysis["oracles"].items():
        amota = evaluation.summary["amota"] if name == "all" else evaluation.summary["label_metrics"]["amota"][name]
        assert oracles["none"] == pytest.approx(amota, abs=1e-12)
        assert min(oracles.values()) == oracles["none"]


def test_latency_of_birth_agrees_with_tid(shared) -> None:
    """Where every step between key frames takes the half second that the official number takes it for."""
    scenes = [
        replace(scene, frames=tuple(replace(frame, timestamp_us=500_000 * t) for t, frame in enumerate(scene.frames)))
        for scene in read_scenes(shared / "nuscenes_mini_val", "v1.0-mini", "mini_val")
    ]
    tracks = read_tracks(shared / "expected" / "cc3dt" / "tracks_polymot.json")
    evaluation = tracking_metrics(tracks, scenes)
    analysis = analyse_tracks(tracks, scenes, evaluation)
    for name, latency in analysis["birth_latency_s"].items():
        assert latency["mean"] == pytest.approx(evaluation.summary["label_metrics"]["tid"][name])


def boxes(identities: list[str], x_m: list[float], label: str, score: float = 0.9) -> Boxes3D:
    count = len(identities)
    center_m = np.column_stack([x_m, np.zeros(count), np.zeros(count)])
    return Boxes3D(
        center_m=center_m,
        size_wlh_m=np.ones((count, 3)),
        rotation=np.tile([1.0, 0, 0, 0], (count, 1)),
        velocity_mps=np.zeros((count, 2)),
        label=np.full(count, LABEL_OF_CLASS[label]),
        score=np.full(count, score),
        track_id=np.array(identities, dtype=np.str_),
    ).transform(EGO)


def ahead(distance_m: float) -> np.ndarray:
    return pose_matrix([distance_m, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])


def two_cars_and_a_truck(n_frames: int = N_FRAMES, step_us: int = 500_000) -> Scene:
    """Cars 0 m and 10 m ahead of where the ego begins, a truck at 20 m, all at rest."""
    annotated = Boxes3D.concatenate([boxes(["a", "b"], [0, 10], "car"), boxes(["t"], [20], "truck")])
    ones = np.ones(3, dtype=np.int64)
    annotations = Annotations(annotated, ones, ones, 4 * ones, Boxes3D.empty())
    frames = tuple(
        Frame(f"s{index}", 1_000_000 + step_us * index, EGO @ ahead(STEP_M * index), np.eye(4), (), annotations)
        for index in range(n_frames)
    )
    return Scene("token", "scene", "", "", frames)


def analysis_of(frames: list[list[Boxes3D]], step_us: int = 500_000) -> dict:
    scene = two_cars_and_a_truck(step_us=step_us)
    results = Results({frame.token: Boxes3D.concatenate(b) for frame, b in zip(scene.frames, frames, strict=True)})
    return analyse_tracks(results, [scene], tracking_metrics(results, [scene]))


@pytest.mark.parametrize("step_us", [500_000, 100_000])
def test_latency_of_birth_goes_by_the_times_of_frames(step_us: int) -> None:
    late = [boxes(["1", "2"][: 1 + (index > 3)], [0, 10][: 1 + (index > 3)], "car") for index in range(N_FRAMES)]
    latency = analysis_of([[one] for one in late], step_us)["birth_latency_s"]["car"]
    assert latency["mean"] == pytest.approx((0 + 4) / 2 * step_us * 1e-6) and latency["never"] == 0.0


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("never", lambda i: boxes(["1"], [0], "car")),
        ("birth", lambda i: boxes(["1", "2"][: 1 + (i > 1)], [0, 10][: 1 + (i > 1)], "car")),
        ("loss", lambda i: boxes(["1", "2"][: 1 + (i < 8)], [0, 10][: 1 + (i < 8)], "car")),
        ("gap", lambda i: boxes(["1", "2"], [0, 10 + 30 * (4 <= i <= 5)], "car")),
        ("duplicate", lambda i: boxes(["1", "2", "3"], [0, 10, 11], "car")),
        ("class", lambda i: boxes(["1", "2", "3"], [0, 10, 20.5], "car")),
        ("location", lambda i: boxes(["1", "2"], [0, 13], "car")),
        ("background", lambda i: boxes(["1", "2", "3"], [0, 10, -30], "car")),
        ("swap", lambda i: boxes(["1", "2"] if i < 5 else ["2", "1"], [0, 10], "car")),
        ("rebirth", lambda i: boxes(["1", "2" if i < 5 else "3"], [0, 10], "car")),
    ],
)
def test_every_kind_is_recognised(kind, change) -> None:
    truck = boxes(["9"], [20], "truck")
    analysis = analysis_of([[change(index), truck] for index in range(N_FRAMES)])
    errors = {name for name, count in analysis["errors"]["car"].items() if count}
    by_products = {"gap": {"background"}, "location": {"never"}}
    assert errors == {kind} | by_products.get(kind, set())
    assert analysis["oracles"]["car"][kind] > analysis["oracles"]["car"]["none"] or kind in ("swap", "rebirth", "gap")


def test_worst_track_comes_first() -> None:
    analysis = analysis_of([[boxes(["1"], [0], "car"), boxes(["9"], [20], "truck")] for _ in range(N_FRAMES)])
    worst = analysis["worst_tracks"][0]
    assert worst == {
        "class": "car",
        "is_annotated": True,
        "scene": "scene",
        "track_id": "b",
        "errors": N_FRAMES,
        "boxes": N_FRAMES,
        "kind": "never",
        "sample_token": "s0",
        "start_s": 0.0,
        "end_s": pytest.approx(4.5),
    }


def test_perfect_tracks_have_no_errors() -> None:
    analysis = analysis_of([[boxes(["1", "2"], [0, 10], "car"), boxes(["9"], [20], "truck")] for _ in range(N_FRAMES)])
    assert analysis["worst_tracks"] == []
    assert analysis["identity"]["all"] == pytest.approx(dict.fromkeys(analysis["identity"]["all"], 1.0))
