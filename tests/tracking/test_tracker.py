"""The online tracker, frame by frame."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, NO_QUERY, TRACKING_CLASSES, Boxes3D, InputError
from scenes.geometry import pose_matrix, rotation_from_yaw
from tracking import Tracker, TrackerConfig, tracker_config_from_dict

KEY_FRAME_US = 500_000
START_US = 1_500_000_000_000_000
EGO = pose_matrix([6.0, -4.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Off the origin, and turned: it may count only as the place where viewing rays start, and as where the view points."""
TRACKED_LABELS = {LABEL_OF_CLASS[name] for name in TRACKING_CLASSES}
LONGEST_MEMORY_S = 10.0


def track(frames: list[Boxes3D], config: TrackerConfig | None = None, gap_us: int = KEY_FRAME_US) -> list[Boxes3D]:
    tracker = Tracker(config)
    return [tracker.step(boxes, START_US + index * gap_us, EGO) for index, boxes in enumerate(frames)]


def moving(boxes_at, steps: int, speed_mps: float = 10.0, gap_s: float = 0.5, **columns) -> list[Boxes3D]:
    velocity = np.array([[speed_mps, 0.0]])
    return [
        boxes_at([(speed_mps * gap_s * step, 5.0)], **{"velocity_mps": velocity, **columns}) for step in range(steps)
    ]


def same(first: Boxes3D, second: Boxes3D) -> bool:
    columns = ("center_m", "size_wlh_m", "rotation", "velocity_mps", "label", "score", "track_id")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in columns)


def test_a_moving_object_keeps_its_identity_and_gets_a_velocity(boxes_at) -> None:
    outputs = track(moving(boxes_at, 8, speed_mps=6.0, velocity_mps=np.zeros((1, 2))))
    assert [boxes.track_id.tolist() for boxes in outputs] == [["1"]] * 8
    np.testing.assert_allclose(outputs[-1].velocity_mps, [[6.0, 0.0]], atol=0.5)


def test_time_counts_and_not_frames(boxes_at) -> None:
    """The same drive at 2 Hz and at 20 Hz ends in the same place at the same speed, under one identity."""
    slow = track(moving(boxes_at, 9, gap_s=0.5))
    fast = track(moving(boxes_at, 81, gap_s=0.05), gap_us=KEY_FRAME_US // 10)
    assert {identity for boxes in fast for identity in boxes.track_id.tolist()} == {"1"}
    np.testing.assert_allclose(fast[-1].center_m, slow[-1].center_m, atol=0.3)
    np.testing.assert_allclose(fast[-1].velocity_mps, slow[-1].velocity_mps, atol=0.5)


def test_measured_velocity_is_used(boxes_at) -> None:
    """Twelve metres in a key frame lie outside the gate of a track that is thought to stand."""
    frames = moving(boxes_at, 2, speed_mps=24.0, velocity_mps=[[24.0, 0.0]])
    assert [boxes.track_id.tolist()[-1] for boxes in track(frames)] == ["1", "1"]
    unknown = [boxes.replace(velocity_mps=np.zeros((1, 2))) for boxes in frames]
    assert track(unknown)[-1].track_id.tolist()[-1] == "2"


def test_two_objects_that_pass_each_other_keep_their_identities(boxes_at) -> None:
    times = 0.5 * np.arange(20)
    frames = [boxes_at([(-30 + 6 * time, 0.0), (30 - 6 * time, 3.2)]) for time in times]
    for boxes in track(frames):
        near, far = boxes.center_m[:, 1].argmin(), boxes.center_m[:, 1].argmax()
        assert boxes.track_id[[near, far]].tolist() == ["1", "2"]


def test_an_object_that_is_not_seen_for_a_while_comes_back_as_itself(boxes_at) -> None:
    frames = moving(boxes_at, 12)
    frames[8] = frames[9] = Boxes3D.empty()
    outputs = track(frames)
    assert outputs[-1].track_id.tolist() == ["1"]


def test_an_object_that_is_not_seen_for_long_is_forgotten(boxes_at) -> None:
    frames = [boxes_at([(0.0, 5.0)])] * 6 + [Boxes3D.empty()] * 8 + [boxes_at([(0.0, 5.0)])]
    outputs = track(frames)
    assert outputs[-1].track_id.tolist() == ["2"]
    assert len(outputs[-2]) == 0


def test_nothing_is_remembered_of_those_that_are_forgotten(boxes_at) -> None:
    """One goes, another stays."""
    tracker = Tracker()
    for index in range(14):
        boxes = boxes_at([(0.0, 5.0), (0.0, 40.0)] if index < 6 else [(0.0, 40.0)])
        tracker.step(boxes, START_US + index * KEY_FRAME_US, EGO)
    assert len(remembered(tracker)["number"]) == 1


def test_coasting_tracks_are_reported_where_they_are_predicted(boxes_at) -> None:
    outputs = track([*moving(boxes_at, 7), Boxes3D.empty(), Boxes3D.empty()])
    assert [len(boxes) for boxes in outputs[-2:]] == [1, 0]
    np.testing.assert_allclose(outputs[-2].center_m[0, :2], [35.0, 5.0], atol=1.0)


def test_tracks_can_be_asked_for_a_later_moment(boxes_at) -> None:
    """Where the next frame without boxes would predict them; to ask changes nothing."""
    frames = moving(boxes_at, 6)
    tracker, undisturbed = Tracker(), Tracker()
    for index, boxes in enumerate(frames):
        for own in (tracker, undisturbed):
            own.assign(boxes, index * KEY_FRAME_US, np.eye(4))
    now_us = 5 * KEY_FRAME_US
    at_frame = tracker.report()
    later = tracker.report(now_us + 200_000)
    way_m = later.center_m - at_frame.center_m
    assert way_m[:, :2] == pytest.approx(0.2 * at_frame.velocity_mps, abs=1e-9)
    assert np.linalg.norm(way_m) > 1.5
    assert later.track_id.tolist() == at_frame.track_id.tolist() and later.score.tolist() == at_frame.score.tolist()
    assert same(tracker.report(), at_frame) and same(tracker.report(now_us - 10), at_frame)
    assert remembered(tracker) == remembered(undisturbed)
    tracker.assign(boxes_at([]), now_us + 200_000, np.eye(4))
    assert tracker.report().center_m == pytest.approx(later.center_m, abs=1e-9)


def test_a_query_leads_its_track_through_a_crowd(boxes_at) -> None:
    """Two walkers who turn back where they meet: only their queries tell who is who."""
    meeting = [-1.5, -0.9, -0.3, -0.9, -1.5]
    frames = [
        boxes_at([(x, 0.0), (-x, 0.2)], label=np.full(2, LABEL_OF_CLASS["pedestrian"]), query_id=np.array([5, 9]))
        for x in meeting
    ]
    outputs = track(frames, TrackerConfig(suppress_duplicates=False))
    left = [boxes.track_id[boxes.query_id == 5].tolist() for boxes in outputs]
    assert left == [left[0]] * len(meeting)


def test_tracks_name_the_query_that_saw_them_last(boxes_at) -> None:
    named = boxes_at([(0.0, 5.0), (0.0, 40.0)], query_id=np.array([5, NO_QUERY]))
    again = boxes_at([(0.0, 5.0), (0.0, 40.0)], query_id=np.array([NO_QUERY, NO_QUERY]))
    config = TrackerConfig(use_identity=False)
    first, second, third = track([named, again, again.replace(query_id=None)], config)
    by_place = dict(zip(first.center_m[:, 1].round().tolist(), first.query_id.tolist(), strict=True))
    assert by_place == {5.0: 5, 40.0: NO_QUERY}
    assert second.query_id is None and third.query_id is None


@pytest.mark.parametrize("steps", [2, 5])
def test_boxes_are_traced_back_to_where_tracks_were(steps: int, boxes_at) -> None:
    """The cost of CenterPoint's tracker: where a box was, by its velocity, at the time of the track's last box."""
    config = tracker_config_from_dict(
        {"every_class": {"motion": "last_box"}, "cost": "backtracked_distance", "suppress_duplicates": False}
    )
    frames = [
        boxes_at([(12.0 * step, 0.0), (12.0 * step + 12.0, 0.5)], velocity_mps=[[24.0, 0.0]] * 2)
        for step in range(steps)
    ]
    ids = [boxes.track_id[boxes.center_m[:, 0].argsort()].tolist() for boxes in track(frames, config)]
    assert ids == [ids[0]] * steps


def test_a_query_is_not_believed_where_motion_disagrees(boxes_at) -> None:
    first = boxes_at([(0.0, 0.0), (0.0, 12.0)], query_id=np.array([1, 2]))
    swapped = boxes_at([(0.0, 0.0), (0.0, 12.0)], query_id=np.array([2, 1]))
    outputs = track([first, first, swapped])
    assert same(outputs[-1].select(outputs[-1].center_m[:, 1] < 6.0).replace(query_id=None), outputs[-1].select([0]))
    assert outputs[-1].track_id.tolist() == outputs[-2].track_id.tolist()
    np.testing.assert_allclose(outputs[-1].center_m, outputs[-2].center_m, atol=1.0)


def test_identity_can_be_switched_off(boxes_at) -> None:
    frames = [boxes_at([(0.0, 0.0)], query_id=np.array([query])) for query in (1, 2, 3)]
    plain = [boxes.replace(query_id=None) for boxes in frames]
    config = TrackerConfig(use_identity=False)
    assert all(same(a, b) for a, b in zip(track(frames, config), track(plain, config), strict=True))


def test_heading_that_flips_is_kept_and_a_lasting_flip_is_followed(boxes_at) -> None:
    def facing(yaw: float) -> Boxes3D:
        return boxes_at([(0.0, 5.0)], rotation=rotation_from_yaw(yaw))

    outputs = track([facing(0.0)] * 4 + [facing(np.pi)] + [facing(0.0)] + [facing(np.pi)] * 8)
    assert abs(outputs[4].yaw_rad[0]) < 0.1
    assert abs(outputs[-1].yaw_rad[0]) > np.pi - 0.1


def test_size_and_height_are_filtered(boxes_at) -> None:
    sizes = [1.8, 2.2, 1.8, 2.2, 1.8, 2.2]
    outputs = track([boxes_at([(0.0, 5.0)], size_wlh_m=[[2.0, size * 2, 1.5]]) for size in sizes])
    assert abs(outputs[-1].size_wlh_m[0, 1] - 4.0) < 0.15


def test_evidence_grows_with_time_and_detection_scores_are_passed_on(boxes_at) -> None:
    frames = [boxes_at([(0.0, 5.0)], score=np.array([score])) for score in (0.9, 0.3, 0.9, 0.5)]
    grown = [boxes.score[0] for boxes in track([frames[0]] * 6)]
    assert (np.diff(grown) > 0.0).all() and 0.0 < grown[0] < grown[-1] < 1.0
    passed = track(frames, TrackerConfig(track_score="detection"))
    assert [boxes.score[0] for boxes in passed] == [0.9, 0.3, 0.9, 0.5]


def test_births_confirmation_and_least_scores(boxes_at) -> None:
    def scored(score: float) -> Boxes3D:
        return boxes_at([(0.0, 5.0)], score=np.array([score]))

    birth = tracker_config_from_dict({"every_class": {"birth_score": 0.5}})
    assert [len(boxes) for boxes in track([scored(0.4), scored(0.6), scored(0.4)], birth)] == [0, 1, 1]
    assert [len(boxes) for boxes in track([scored(0.5)], birth)] == [1]
    used = tracker_config_from_dict({"every_class": {"min_score": 0.5}, "report_unseen_s": 0.0})
    assert [len(boxes) for boxes in track([scored(0.6), scored(0.4)], used)] == [1, 0]
    confirmed = tracker_config_from_dict({"every_class": {"confirm_hits": 3}})
    assert [len(boxes) for boxes in track([scored(0.6)] * 4, confirmed)] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("gap_us", "message"),
    [
        (0, "time repeats at"),
        (-3 * KEY_FRAME_US, "time runs backwards by 1.500 s"),
        (30_000_000, "a gap of 30.0 s before"),
    ],
)
def test_odd_time_is_named_and_survived(gap_us: int, message: str, boxes_at, caplog) -> None:
    tracker = Tracker()
    now_us = START_US
    for boxes in [boxes_at([(0.0, 5.0)])] * 4:
        tracker.step(boxes, now_us, EGO)
        now_us += KEY_FRAME_US
    now_us += gap_us - KEY_FRAME_US
    with caplog.at_level(logging.WARNING):
        output = tracker.step(boxes_at([(0.0, 5.0)]), now_us, EGO)
    assert message in caplog.text
    assert output.track_id.tolist() == (["2"] if gap_us > 0 else ["1"])
    after = tracker.step(boxes_at([(0.0, 5.0)]), now_us + KEY_FRAME_US, EGO)
    assert after.track_id.tolist() == output.track_id.tolist()


@pytest.mark.parametrize("elapsed_us", [0, -KEY_FRAME_US])
def test_a_track_that_is_missed_while_time_stands_still_is_not_reported_for_ever(elapsed_us: int, boxes_at) -> None:
    tracker = Tracker()
    for index in range(4):
        tracker.step(boxes_at([(0.0, 5.0)]), START_US + index * KEY_FRAME_US, EGO)
    now_us = START_US + 3 * KEY_FRAME_US
    reported = [len(tracker.step(boxes_at([]), now_us + index * elapsed_us, EGO)) for index in range(30)]
    assert sum(reported) <= 2 and not any(reported[2:])


def test_ordinary_time_is_not_named(boxes_at, caplog) -> None:
    """From the first frame on, at any time that there is, up to a gap of ten seconds, down to a microsecond."""
    for start_us in (START_US, 2**53 - 10_000_001):
        tracker = Tracker(tracker_config_from_dict({"every_class": {"max_unseen_s": 60.0}}))
        for elapsed_us in (0, 1, 10_000_001):
            output = tracker.step(boxes_at([(0.0, 5.0)]), start_us + elapsed_us, EGO)
            assert output.track_id.tolist() == ["1"]
    assert caplog.text == ""


@pytest.mark.parametrize("timestamp_us", [10**40, 2**53 + 1, -(10**40)])
def test_a_time_that_is_none_is_refused(timestamp_us: int, boxes_at) -> None:
    tracker = Tracker()
    tracker.step(boxes_at([(0.0, 5.0)]), START_US, EGO)
    with pytest.raises(InputError, match="is no time"):
        tracker.step(boxes_at([(0.0, 5.0)]), timestamp_us, EGO)
    after = tracker.step(boxes_at([(0.0, 5.0)]), START_US + KEY_FRAME_US, EGO)
    assert after.track_id.tolist() == ["1"]


@pytest.mark.parametrize("gap_s", [10.1, 11.0, 30.0])
@pytest.mark.parametrize("query", [None, 7])
def test_no_track_lives_through_a_long_gap(gap_s: float, query: int | None, boxes_at, caplog) -> None:
    """Not one that takes the box by its place, nor one whose query the detector remembers."""
    config = tracker_config_from_dict({"every_class": {"max_unseen_s": 60.0}, "identity_memory_s": 60.0})
    boxes = boxes_at([(0.0, 5.0)], query_id=None if query is None else np.array([query]))
    tracker = Tracker(config)
    for index in range(4):
        tracker.step(boxes, START_US + index * KEY_FRAME_US, EGO)
    output = tracker.step(boxes, START_US + 3 * KEY_FRAME_US + round(gap_s * 1e6), EGO)
    assert "all tracks end" in caplog.text
    assert output.track_id.tolist() == ["2"]


def test_unusable_boxes_are_named_and_left_out(boxes_at, caplog) -> None:
    boxes = boxes_at([(0.0, 5.0), (np.nan, 0.0), (0.0, 20.0), (1e200, 0.0), (0.0, 40.0)])
    sizes = boxes.size_wlh_m.copy()
    sizes[2] = -1.0
    rotation = boxes.rotation.copy()
    rotation[4] = 0.0
    with caplog.at_level(logging.WARNING):
        output = Tracker().step(boxes.replace(size_wlh_m=sizes, rotation=rotation), START_US, EGO)
    assert len(output) == 1
    assert "4 of 5 boxes left out" in caplog.text


def test_classes_that_the_config_does_not_name_are_left_out(boxes_at) -> None:
    labels = np.arange(len(DETECTION_CLASSES))
    boxes = boxes_at(np.column_stack([30.0 * labels, labels]), label=labels)
    assert set(Tracker().step(boxes, START_US, EGO).label.tolist()) == TRACKED_LABELS
    only_cars = TrackerConfig(classes={"car": TrackerConfig().classes["car"]})
    assert Tracker(only_cars).step(boxes, START_US, EGO).label.tolist() == [LABEL_OF_CLASS["car"]]


def test_a_crowd_on_one_metre_stays_bounded(boxes_at) -> None:
    rng = np.random.default_rng(0)
    config = TrackerConfig(suppress_duplicates=False, max_tracks=600)
    frames = [boxes_at(rng.random((500, 2)), score=rng.random(500)) for _ in range(6)]
    outputs = track(frames, config)
    assert all(len(set(boxes.track_id.tolist())) == len(boxes) <= 600 for boxes in outputs)
    assert all(np.isfinite(boxes.center_m).all() for boxes in outputs)


def test_an_ego_that_jumps_moves_no_track(boxes_at) -> None:
    tracker = Tracker()
    for index in range(4):
        tracker.step(boxes_at([(0.0, 5.0)]), START_US + index * KEY_FRAME_US, EGO)
    far = EGO.copy()
    far[:2, 3] = 5000.0
    output = tracker.step(boxes_at([(0.0, 5.0)]), START_US + 4 * KEY_FRAME_US, far)
    assert output.track_id.tolist() == ["1"]
    np.testing.assert_allclose(output.center_m[0, :2], [0.0, 5.0], atol=1.0)


def remembered(tracker: Tracker) -> dict[str, list]:
    """The columns of the live tracks."""
    return {name.removeprefix("tracks."): column.tolist() for name, column in tracker.state().items()}


def test_what_is_remembered_of_a_track_frame_by_frame(boxes_at, known) -> None:
    """One car is seen, missed and seen again; another appears in the second frame."""
    tracker = Tracker(TrackerConfig(suppress_duplicates=False), known)
    first, second = (0.0, 5.0), (0.0, 40.0)
    step_us = 400_000
    names = {"query_id": np.array([7])}
    frames = [
        boxes_at([first], score=np.array([0.8]), **names),
        boxes_at([first, second], score=np.array([0.6, 0.9]), query_id=np.array([7, 3])),
        boxes_at([second], score=np.array([0.5]), query_id=np.array([4])),
        boxes_at([second, first], score=np.array([0.7, 0.75]), query_id=np.array([4, 8])),
    ]
    for index, boxes in enumerate(frames):
        tracker.step(boxes, START_US + index * step_us, EGO)
    found = remembered(tracker)
    assert found["now_us"] == START_US + 3 * step_us and found["started"] is True and found["next_number"] == 3
    assert found["number"] == [1, 2]
    assert found["label"] == [LABEL_OF_CLASS["car"]] * 2
    assert found["hits"] == [3, 3]
    assert found["query_id"] == [8, 4]
    assert found["score"] == [0.75, 0.7]
    assert found["born_us"] == [START_US, START_US + step_us]
    assert found["seen_us"] == [START_US + 3 * step_us] * 2
    assert found["supported_us"] == found["born_us"]
    assert found["observed_s"] == pytest.approx([0.8, 0.8])
    assert found["missed_s"] == pytest.approx([0.4, 0.0])
    assert found["support"] == [0.0, 0.0]
    log_odds = [known.score_scale.of(np.array(scores)).sum() for scores in ((0.8, 0.6, 0.75), (0.9, 0.5, 0.7))]
    assert found["evidence"] == pytest.approx(log_odds)


def test_scores_of_evidence_follow_from_what_is_remembered(boxes_at, known) -> None:
    tracker = Tracker(TrackerConfig(evidence_time_s=2.0), known)
    scores = np.array([0.8, 0.6, 0.9])
    log_odds = known.score_scale.of(scores)
    for seen, score in enumerate(scores):
        boxes = boxes_at([(0.0, 5.0)], score=np.array([score]))
        output = tracker.step(boxes, START_US + seen * KEY_FRAME_US, EGO)
        mean = 0.5 * (log_odds[: seen + 1].mean() + log_odds[seen])
        share = 1.0 - np.exp(-(0.5 * seen + 0.5) / 2.0)
        assert output.score.tolist() == pytest.approx([share / (1.0 + np.exp(-mean))])


@pytest.mark.parametrize("gap_us", [0, -3 * KEY_FRAME_US])
def test_odd_time_leaves_how_long_a_track_was_unseen(gap_us: int, boxes_at) -> None:
    tracker = Tracker()
    for index in range(3):
        tracker.step(boxes_at([(0.0, 5.0)]) if index < 2 else Boxes3D.empty(), START_US + index * KEY_FRAME_US, EGO)
    before = remembered(tracker)
    now_us = START_US + 2 * KEY_FRAME_US + gap_us
    tracker.step(Boxes3D.empty(), now_us, EGO)
    after = remembered(tracker)
    for name in ("seen_us", "born_us", "supported_us"):
        # A microsecond keeps the frames apart.
        assert now_us - after[name][0] == before["now_us"] - before[name][0] + 1, name
    for name in ("observed_s", "missed_s", "hits", "mean"):
        assert after[name] == before[name]


def test_what_is_reported_and_for_how_long(boxes_at) -> None:
    """Coasting tracks are reported while the last box is no older than what was observed, and than 0.6 s."""
    config = TrackerConfig(report_unseen_s=0.6)
    step_us = 300_000
    for seen, expected in ((2, [1, 1, 0, 0]), (3, [1, 1, 1, 1, 0, 0])):
        frames = [boxes_at([(0.0, 5.0)])] * seen + [Boxes3D.empty()] * (len(expected) - seen)
        outputs = track(frames, config, gap_us=step_us)
        expected = [1] * seen + [1 if seen == 3 and missed <= 2 else 0 for missed in range(1, len(expected) - seen + 1)]
        assert [len(boxes) for boxes in outputs] == expected


def test_assigned_boxes_name_the_track_that_each_went_to(boxes_at) -> None:
    tracker = Tracker(tracker_config_from_dict({"every_class": {"birth_score": 0.5}, "suppress_duplicates": False}))
    tracker.assign(boxes_at([(0.0, 5.0), (0.0, 40.0)], score=np.array([0.7, 0.9])), START_US, EGO)
    boxes = boxes_at([(0.0, 5.0), (0.0, 70.0), (0.0, 90.0)], score=np.array([0.6, 0.8, 0.4]))
    assigned = tracker.assign(boxes, START_US + KEY_FRAME_US, EGO)
    places = assigned.measured.boxes.center_m[:, 1].tolist()
    # Numbers are given best score first: the box at 40 m was number 1.
    assert dict(zip(places, assigned.number.tolist(), strict=True)) == {5.0: 2, 70.0: 3, 90.0: 0}
    assert tracker.report().track_id.tolist() == ["2", "3"]


def test_improbable_tracks_are_kept_and_not_reported(boxes_at, known) -> None:
    car = boxes_at([(0.0, 5.0)], score=np.array([0.35]))
    reported = {}
    for least in (0.0, 0.3):
        tracker = Tracker(TrackerConfig(report_probability=least), known)
        tracks = [tracker.step(car, START_US + index * KEY_FRAME_US, EGO) for index in range(6)]
        reported[least] = [boxes.score.tolist() for boxes in tracks]
        assert {identity for boxes in tracks for identity in boxes.track_id.tolist()} == {"1"}
    everything = reported[0.0]
    assert reported[0.3] == [scores if scores[0] >= 0.3 else [] for scores in everything]
    assert everything[0][0] < 0.3 <= everything[-1][0]
    own_score = Tracker(TrackerConfig(report_probability=0.9, track_score="detection"), known)
    assert len(own_score.step(car, START_US, EGO)) == 1


def test_improbable_boxes_start_no_track(boxes_at, known) -> None:
    for score, born in ((0.35, 1), (0.2, 0)):
        probability = 1.0 / (1.0 + np.exp(-known.score_scale.of(np.array([score]))[0]))
        assert (probability >= 0.3) == bool(born)
        tracker = Tracker(TrackerConfig(birth_probability=0.3), known)
        assert len(tracker.step(boxes_at([(0.0, 5.0)], score=np.array([score])), START_US, EGO)) == born
    box = boxes_at([(0.0, 5.0)], score=np.array([0.35]))
    least = Tracker(calibration=known).assign(box, START_US, EGO).measured.probability[0]
    assert len(Tracker(TrackerConfig(birth_probability=least), known).step(box, START_US, EGO)) == 1


@st.composite
def drives(draw: st.DrawFn, boxes: st.SearchStrategy[Boxes3D]) -> list[tuple[Boxes3D, int, np.ndarray]]:
    """Frames with gaps of any kind and an ego that may jump."""
    now_us = START_US
    frames = []
    for _ in range(draw(st.integers(1, 6))):
        ego = EGO.copy()
        ego[:2, 3] = draw(st.sampled_from([0.0, 3.0, 1e4]))
        frames.append((draw(boxes), now_us, ego))
        now_us += draw(st.sampled_from([KEY_FRAME_US, 50_000, 0, -700_000, 30_000_000]))
    return frames


PRESETS = st.sampled_from(
    [
        TrackerConfig(),
        TrackerConfig(suppress_duplicates=False, cost="distance", assignment="greedy"),
        tracker_config_from_dict({"every_class": {"motion": "constant_turn_rate"}}),
        tracker_config_from_dict({"every_class": {"motion": "bicycle"}, "suppress_duplicates": False}),
        tracker_config_from_dict({"every_class": {"motion": "last_box"}, "cost": "backtracked_distance"}),
    ]
)


@settings(max_examples=60)
@given(data=st.data(), config=PRESETS)
def test_whatever_comes_in_sound_tracks_come_out(data, config, random_boxes) -> None:
    label_of: dict[str, int] = {}
    tracker = Tracker(config)
    for boxes, now_us, ego in data.draw(drives(random_boxes)):
        output = tracker.step(boxes, now_us, ego)
        identities = output.track_id.tolist()
        assert len(set(identities)) == len(identities) <= config.max_tracks
        for identity, label in zip(identities, output.label.tolist(), strict=True):
            assert label_of.setdefault(identity, label) == label
        for name in ("center_m", "size_wlh_m", "rotation", "velocity_mps", "score"):
            assert np.isfinite(getattr(output, name)).all()
        assert (output.size_wlh_m > 0.0).all()
        np.testing.assert_allclose(np.linalg.norm(output.rotation, axis=1), 1.0)


@settings(max_examples=40)
@given(data=st.data(), config=PRESETS, seed=st.integers(0, 99))
def test_the_order_of_the_boxes_does_not_matter(data, config, seed: int, random_boxes) -> None:
    rng = np.random.default_rng(seed)
    given_order, other_order = Tracker(config), Tracker(config)
    for boxes, now_us, ego in data.draw(drives(random_boxes)):
        shuffled = boxes.select(rng.permutation(len(boxes)))
        assert same(given_order.step(boxes, now_us, ego), other_order.step(shuffled, now_us, ego))


@settings(max_examples=30)
@given(data=st.data(), empty=st.integers(1, 30))
def test_an_empty_history_equals_a_fresh_tracker(data, empty: int, random_boxes) -> None:
    waited, fresh = Tracker(), Tracker()
    for index in range(empty):
        assert len(waited.step(Boxes3D.empty(), START_US - (empty - index) * KEY_FRAME_US, EGO)) == 0
    for boxes, now_us, ego in data.draw(drives(random_boxes)):
        assert same(waited.step(boxes, now_us, ego), fresh.step(boxes, now_us, ego))


@settings(max_examples=40)
@given(data=st.data(), config=PRESETS)
def test_later_frames_change_nothing(data, config, random_boxes) -> None:
    """Whatever follows the first k frames, also nothing, and also a tracker restored in between, they stay."""
    frames = data.draw(drives(random_boxes))
    shared_frames = data.draw(st.integers(0, len(frames)))
    other = [*frames[:shared_frames], *data.draw(drives(random_boxes))]
    outputs = [_steps(Tracker(config), sequence) for sequence in (frames, other)]
    assert all(same(*pair) for pair in zip(*(output[:shared_frames] for output in outputs), strict=True))
    first = Tracker(config)
    before = _steps(first, frames[:shared_frames])
    after = _steps(Tracker.from_state(first.state(), config), frames[shared_frames:])
    assert all(same(*pair) for pair in zip(outputs[0], before + after, strict=True))


def _steps(tracker: Tracker, frames: list[tuple[Boxes3D, int, np.ndarray]]) -> list[Boxes3D]:
    return [tracker.step(*frame) for frame in frames]
