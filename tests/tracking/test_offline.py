"""Tracks with hindsight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.tracking import tracking_metrics
from scenes import Boxes3D, read_detections, read_scenes, select_samples
from scenes.city.simulated_detector import simulate_detections
from scenes.geometry import invert_pose, pose_matrix, rotation_from_yaw
from tracking import Calibration, TrackerConfig, linking, offline, track_results, tracker_config_from_dict
from tracking.fusion import Probabilities
from tracking.offline import track_offline

EGO = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Where the ego begins: far from the origin, and turned. Boxes are placed as it sees them from there."""
STEP_M = 2.0
"""What it drives from frame to frame."""


def track(
    frames: list[Boxes3D],
    config: TrackerConfig | None = None,
    times_us: list[int] | None = None,
    known: Calibration | None = None,
) -> list[Boxes3D]:
    """Boxes that the ego sees, tracked in global coordinates, and as it sees them again."""
    times_us = times_us or [500_000 * index for index in range(len(frames))]
    egos = [EGO @ pose_matrix([STEP_M * index, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]) for index in range(len(frames))]
    with np.errstate(invalid="ignore"):  # some velocities are infinite
        seen = [boxes.transform(EGO) for boxes in frames]
    known = known or Calibration()
    tracked = track_offline(seen, times_us, egos, config or TrackerConfig(), known, [()] * len(frames))
    return [boxes.transform(invert_pose(EGO)) for boxes in tracked]


def test_gaps_are_filled_and_scores_are_those_of_the_whole_track(boxes_at) -> None:
    frames = [boxes_at([(3.0 * index, 5.0)], velocity_mps=[[6.0, 0.0]]) for index in range(10)]
    frames[4] = frames[5] = Boxes3D.empty()
    outputs = track(frames)
    assert [boxes.track_id.tolist() for boxes in outputs] == [["1"]] * 10
    assert len({boxes.score[0] for boxes in outputs}) == 1
    np.testing.assert_allclose(outputs[4].center_m[0, :2], [12.0, 5.0], atol=0.2)


def test_fragments_of_one_object_are_linked(boxes_at) -> None:
    """The online tracker gives a newborn track up before the object is seen again; later its motion tells."""
    frames = [boxes_at([(4.0 * index, 5.0)], velocity_mps=[[8.0, 0.0]]) for index in range(12)]
    frames[2:6] = [Boxes3D.empty()] * 4
    assert {identity for boxes in track(frames) for identity in boxes.track_id.tolist()} == {"1"}
    apart = track(frames, TrackerConfig(link_gap_s=0.0))
    assert {identity for boxes in apart for identity in boxes.track_id.tolist()} == {"1", "2"}


def test_fragments_that_move_apart_are_not_linked(boxes_at) -> None:
    there = [boxes_at([(4.0 * index, 5.0)], velocity_mps=[[8.0, 0.0]]) for index in range(3)]
    back = [boxes_at([(20.0 - 4.0 * index, 5.0)], velocity_mps=[[-8.0, 0.0]]) for index in range(3)]
    outputs = track([*there, *[Boxes3D.empty()] * 3, *back])
    assert {identity for boxes in outputs for identity in boxes.track_id.tolist()} == {"1", "2"}


def test_what_speaks_against_a_track_at_its_end_is_cut(boxes_at) -> None:
    """Boxes that hardly ever are true go on from a car that has gone: they are not reported; those between are."""
    score = np.array([0.9] * 4 + [0.1] + [0.9] * 4 + [0.01] * 3)
    frames = [boxes_at([(1.0 * index, 5.0)], score=value) for index, value in enumerate(score[:, None])]
    known = Calibration(Probabilities.unknown())
    tracked = track_offline(
        frames, [500_000 * at for at in range(12)], [np.eye(4)] * 12, TrackerConfig(), known, [()] * 12
    )
    assert [boxes.track_id.tolist() for boxes in tracked] == [["1"]] * 9 + [[]] * 3


def test_gaps_and_better_tracks_in_their_place_speak_against_tracks(boxes_at) -> None:
    def score(frames: list[Boxes3D]) -> list[float]:
        return track(frames, known=Calibration(Probabilities.unknown()))[0].score.tolist()

    whole = [boxes_at([(20.0, 0.0)])] * 9
    seen_now_and_then = [frame if at % 2 == 0 else Boxes3D.empty() for at, frame in enumerate(whole)]
    pair = boxes_at([(20.0, 0.0), (20.5, 0.0)], label=np.array([0, 1]), score=np.array([0.8, 0.79]))
    (alone,), (gaps,), (better, displaced) = map(score, (whole, seen_now_and_then, [pair] * 9))
    assert better == pytest.approx(alone)
    assert gaps < alone - 0.1 and displaced < alone - 0.1


def test_tracks_are_kept_together_and_linked(boxes_at) -> None:
    """What somebody has found already comes in by its identities, and goes on from fragment to fragment."""
    frames = [boxes_at([(4.0 * at, 5.0), (4.0 * at, 40.0)], velocity_mps=[[8.0, 0.0]] * 2) for at in range(10)]
    named = [frame.replace(track_id=np.array(["a" if at < 4 else "b", "c"])) for at, frame in enumerate(frames)]
    named[4] = named[5] = Boxes3D.empty().replace(track_id=np.zeros(0, np.str_))
    assert [boxes.track_id.tolist() for boxes in track(named)] == [["1", "2"]] * 10


def test_named_tracks_do_not_depend_on_what_is_smoothed_at_once(boxes_at, monkeypatch) -> None:
    """Whether velocities count is told by all boxes of the drive, of which only one track reports a movement."""
    rng = np.random.default_rng(1)
    frames = [
        boxes_at(
            rng.normal([[10.0, 0.0], [2.5 * index, 30.0]], 0.3),
            velocity_mps=[[0.3, 0.0], [5.0, 0.0]],
            score=np.full(2, 0.9),
            track_id=np.array(["a", "b"]),
        )
        for index in range(12)
    ]
    whole = track(frames)
    monkeypatch.setattr(offline, "_CELLS_AT_ONCE", 1)
    for together, apart in zip(whole, track(frames), strict=True):
        np.testing.assert_allclose(together.center_m, apart.center_m, atol=1e-9)


def test_a_track_needs_as_many_boxes_as_online(boxes_at) -> None:
    frames = [boxes_at([(0.0, 5.0)] if 3 <= index < 5 else []) for index in range(8)]
    assert sum(map(len, track(frames))) >= 2
    confirmed = tracker_config_from_dict({"every_class": {"confirm_hits": 3}})
    assert sum(map(len, track(frames, confirmed))) == 0


def test_boxes_that_are_left_unfiltered_online_are_so_with_hindsight(boxes_at) -> None:
    """Between them tracks are smooth."""
    places = [(10.0 + away, 5.0) for away in (0.0, 1.2, -1.2, 1.2, -1.2, 1.2)]
    frames = [boxes_at([place], score=np.full(1, 0.95)) for place in places]
    frames.insert(3, boxes_at([]))
    unfiltered = tracker_config_from_dict({"every_class": {"motion": "last_box"}})
    outputs = track(frames, unfiltered)
    for index in (0, 1, 2, 4, 5, 6):
        np.testing.assert_allclose(outputs[index].center_m, frames[index].center_m, atol=1e-6)
    assert 8.8 < outputs[3].center_m[0, 0] < 11.2
    assert abs(track(frames)[1].center_m[0, 0] - 11.2) > 0.1


def test_no_boxes_no_tracks() -> None:
    assert [len(boxes) for boxes in track([Boxes3D.empty()] * 3)] == [0, 0, 0]
    assert track([]) == []


def test_what_is_done_at_once_changes_nothing(city_scenes, monkeypatch) -> None:
    """Long drives are smoothed and linked block by block."""
    detections = simulate_detections(city_scenes)
    whole = track_results(detections, city_scenes, offline=True)
    monkeypatch.setattr(offline, "_CELLS_AT_ONCE", 7)
    monkeypatch.setattr(linking, "_PAIRS_AT_ONCE", 3)
    blocks = track_results(detections, city_scenes, offline=True)
    for token, boxes in whole.boxes.items():
        assert boxes.track_id.tolist() == blocks.boxes[token].track_id.tolist()
        np.testing.assert_allclose(boxes.center_m, blocks.boxes[token].center_m, atol=1e-9)
        np.testing.assert_allclose(boxes.score, blocks.boxes[token].score, atol=1e-12)


@settings(max_examples=40)
@given(data=st.data(), motion=st.sampled_from(["constant_velocity", "constant_turn_rate", "bicycle", "last_box"]))
def test_whatever_comes_in_sound_tracks_come_out(data, motion: str, random_boxes) -> None:

    config = tracker_config_from_dict({"every_class": {"motion": motion}})
    frames = data.draw(st.lists(random_boxes, min_size=1, max_size=5))
    gaps = data.draw(st.lists(st.sampled_from([500_000, 0, -300_000, 30_000_000]), min_size=5, max_size=5))
    times_us = (1_500_000_000_000_000 + np.cumsum(gaps[: len(frames)])).tolist()
    label_of: dict[str, int] = {}
    for boxes in track(frames, config, times_us):
        identities = boxes.track_id.tolist()
        assert len(set(identities)) == len(identities)
        for identity, label in zip(identities, boxes.label.tolist(), strict=True):
            assert label_of.setdefault(identity, label) == label
        for name in ("center_m", "size_wlh_m", "rotation", "velocity_mps", "score"):
            assert np.isfinite(getattr(boxes, name)).all()
        assert (boxes.size_wlh_m > 0.0).all()


@pytest.mark.parametrize("detector", ["fastbev", "cc_3dt"])
def test_gains_on_real_detections(detector: str, shared, mini_val) -> None:
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    path = shared / "detections" / f"{detector}.json"
    tokens = [token for scene in scenes for token in scene.sample_tokens]
    detections = select_samples(read_detections(path), tokens, (), path)
    online, offline = (
        tracking_metrics(track_results(detections, scenes, offline=offline), scenes).summary
        for offline in (False, True)
    )
    assert offline["amota"] >= online["amota"]
    cars = [summary["label_metrics"]["amota"]["car"] for summary in (online, offline)]
    assert cars[1] >= cars[0] + 0.05, "of other classes there are few"


def test_gains_on_the_city(city_scenes) -> None:
    detections = simulate_detections(city_scenes)
    online, offline = (
        tracking_metrics(track_results(detections, city_scenes, offline=offline), city_scenes).summary["amota"]
        for offline in (False, True)
    )
    assert offline >= online + 0.01
