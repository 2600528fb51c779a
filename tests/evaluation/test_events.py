"""Events: the rules of CLEAR MOT on small scenes; on random worlds and real tracks they add up to the metrics."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.events import NO_MATCH, TrackEvents, track_events
from evaluation.tracking import METRICS, tracking_metrics
from scenes import (
    LABEL_OF_CLASS,
    TRACKING_CLASSES,
    Annotations,
    Boxes3D,
    Frame,
    InputError,
    Results,
    Scene,
    read_scenes,
    read_tracks,
)
from scenes.classes import NO_CLASS
from scenes.geometry import pose_matrix

EGO = np.array([600.0, 1600.0])
AHEAD, LEFT = (15.0, 0.0), (5.0, 12.0)
"""Where the two annotated cars stand, from the ego vehicle."""


def boxes_at(centers: list[tuple[float, float]], identities: list[str], score: float = 0.8, label: int = 0) -> Boxes3D:
    count = len(centers)
    return Boxes3D(
        center_m=np.column_stack([EGO + np.array(centers).reshape(-1, 2), np.full(count, 0.8)]),
        size_wlh_m=np.tile([1.9, 4.6, 1.6], (count, 1)),
        rotation=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        velocity_mps=np.tile([2.0, 0.0], (count, 1)),
        label=np.full(count, label),
        score=np.full(count, score),
        track_id=np.array(identities, dtype=np.str_),
    )


def annotated(boxes: Boxes3D, points: list[int] | None = None, racks: Boxes3D | None = None) -> Annotations:
    none = np.zeros(len(boxes), dtype=np.int64)
    hits = np.array([10] * len(boxes) if points is None else points, dtype=np.int64)
    return Annotations(boxes, hits, none, none, racks or Boxes3D.empty())


def scene_of(*annotations: Annotations) -> Scene:
    pose = pose_matrix([*EGO, 0.0], [1.0, 0.0, 0.0, 0.0])
    frames = [
        Frame(f"sample-{index}", 500_000 * index, pose, None, (), of_frame)
        for index, of_frame in enumerate(annotations)
    ]
    return Scene("token", "scene", "", "", tuple(frames))


TWO_CARS = scene_of(*[annotated(boxes_at([AHEAD, LEFT], ["ahead", "left"]))] * 4)


def events_of(scene: Scene, *per_frame: Boxes3D) -> list:
    events = track_events(Results(dict(zip(scene.sample_tokens, per_frame, strict=True))), [scene])
    return [events.frames[token] for token in scene.sample_tokens]


def test_tracks_on_their_annotations_are_right():
    for events in events_of(TWO_CARS, *[boxes_at([AHEAD, LEFT], ["1", "2"])] * 4):
        assert events.match.tolist() == [0, 1]
        assert events.tracks.judged.all() and events.annotations.judged.all()
        assert not (events.false_positive.any() or events.switch.any() or events.missed.any())


def test_a_track_two_metres_away_is_wrong_and_its_object_missed():
    events = events_of(TWO_CARS, *[boxes_at([(15.0, 2.0), LEFT], ["1", "2"])] * 4)[0]
    assert events.match.tolist() == [NO_MATCH, 1]
    assert events.false_positive.tolist() == [True, False]
    assert events.missed.tolist() == [True, False]


def test_another_identity_on_the_same_object_is_a_switch_once():
    per_frame = [boxes_at([AHEAD, LEFT], identities) for identities in (["1", "2"], ["1", "2"], ["9", "2"], ["9", "2"])]
    assert [events.switch.tolist() for events in events_of(TWO_CARS, *per_frame)] == [
        [False, False],
        [False, False],
        [True, False],
        [False, False],
    ]


def test_who_matched_last_goes_on_though_another_is_nearer():
    first, both = boxes_at([(15.0, 1.5)], ["1"]), boxes_at([(15.0, 1.5), AHEAD], ["1", "2"])
    events = events_of(TWO_CARS, first, both, both, both)
    assert events[3].match.tolist() == [0, NO_MATCH]
    assert not any(of_frame.switch.any() for of_frame in events)


def test_a_pause_is_filled_between_its_ends():
    """The metrics fill gaps: in the frames between the track counts as found, by boxes that no file holds."""
    seen, unseen = boxes_at([AHEAD], ["1"]), Boxes3D.empty()
    events = events_of(TWO_CARS, seen, unseen, unseen, seen)
    assert [of_frame.missed.tolist() for of_frame in events] == [[False, True]] * 4
    assert [of_frame.tracks.in_gap.tolist() for of_frame in events] == [[False], [True], [True], [False]]
    for of_frame in events:
        assert of_frame.match.tolist() == [0] and of_frame.tracks.judged.all()
        assert of_frame.tracks.boxes.track_id.tolist() == ["1"]
        np.testing.assert_allclose(of_frame.tracks.boxes.center_m, seen.center_m)


def test_an_annotation_without_points_between_two_with_is_filled_and_counts():
    hidden = annotated(boxes_at([AHEAD], ["ahead"]), points=[0])
    shown = annotated(boxes_at([AHEAD], ["ahead"]))
    middle = events_of(scene_of(shown, hidden, shown), boxes_at([AHEAD], ["1"]), Boxes3D.empty(), Boxes3D.empty())[1]
    assert middle.annotations.in_gap.tolist() == [False, True]
    assert middle.annotations.judged.tolist() == middle.missed.tolist() == [False, True]


def test_boxes_in_gaps_keep_what_the_file_tells_of_the_others():
    named = boxes_at([AHEAD, LEFT], ["1", "2"]).replace(
        query_id=np.array([7, 8]), attribute=np.array(["", "vehicle.moving"])
    )
    events = events_of(TWO_CARS, named, named.select([1]), named, named)[1]
    assert events.tracks.boxes.query_id.tolist() == [8, -1]
    assert events.tracks.boxes.attribute.tolist() == ["vehicle.moving", ""]
    assert events.tracks.boxes.track_id.tolist() == ["2", "1"]


def test_weak_tracks_do_not_count():
    strong, weak = boxes_at([AHEAD, LEFT], ["1", "2"], score=0.9), boxes_at([(30.0, 8.0)], ["3"], score=0.1)
    results = Results(dict.fromkeys(TWO_CARS.sample_tokens, Boxes3D.concatenate([strong, weak])))
    events = track_events(results, [TWO_CARS])
    assert events.operating_points == {"car": pytest.approx(0.9)}
    assert events.frames["sample-0"].tracks.judged.tolist() == [True, True, False]
    assert not events.frames["sample-0"].false_positive.any()


def test_other_classes_do_not_match_and_a_class_without_annotations_does_not_count():
    events = track_events(
        Results(dict.fromkeys(TWO_CARS.sample_tokens, boxes_at([AHEAD], ["1"], label=LABEL_OF_CLASS["truck"]))),
        [TWO_CARS],
    )
    assert events.operating_points == {}
    assert not events.frames["sample-0"].tracks.judged.any()
    assert events.frames["sample-0"].missed.all()


def test_what_is_far_or_without_points_does_not_count():
    truth = annotated(boxes_at([(49.0, 0.0), (51.0, 0.0), (20.0, 5.0)], ["in", "out", "empty"]), points=[1, 1, 0])
    (events,) = events_of(scene_of(truth), boxes_at([(60.0, 0.0), (49.0, 0.0)], ["1", "2"]))
    assert events.annotations.judged.tolist() == [True, False, False]
    assert events.tracks.judged.tolist() == [False, True]


def test_cycles_in_a_rack_do_not_count():
    bicycles = boxes_at([(10.0, 0.0), (20.0, 0.0)], ["in rack", "free"], label=LABEL_OF_CLASS["bicycle"])
    rack = boxes_at([(10.0, 0.5)], ["rack"], label=NO_CLASS)
    (events,) = events_of(scene_of(annotated(bicycles, racks=rack)), Boxes3D.empty())
    assert events.missed.tolist() == [False, True]


def test_an_identity_twice_in_a_frame_counts_box_by_box():
    for events in events_of(TWO_CARS, *[boxes_at([AHEAD, AHEAD], ["1", "1"])] * 4):
        assert sorted(events.match.tolist()) == [NO_MATCH, 0]


def test_the_part_of_a_scene():
    other = replace(
        TWO_CARS, name="other", frames=tuple(replace(frame, token=f"other-{frame.token}") for frame in TWO_CARS.frames)
    )
    boxes = boxes_at([AHEAD, LEFT], ["1", "2"])
    both = track_events(
        Results(dict.fromkeys([*TWO_CARS.sample_tokens, *other.sample_tokens], boxes)), [TWO_CARS, other]
    )
    part = both.of_scene(other)
    assert tuple(part.frames) == other.sample_tokens
    assert part.amota == {"other": 1.0}
    assert part.operating_points == both.operating_points


def test_what_cannot_be_evaluated_is_refused():
    standing = replace(TWO_CARS, frames=tuple(replace(frame, timestamp_us=5) for frame in TWO_CARS.frames))
    with pytest.raises(InputError, match="time does not increase"):
        track_events(Results(dict.fromkeys(TWO_CARS.sample_tokens, Boxes3D.empty())), [standing])


def totals(events: TrackEvents) -> dict[str, Counter[str]]:
    """tp, ids, fp and fn of each class."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in TRACKING_CLASSES}
    for of_frame in events.frames.values():
        matched = of_frame.match != NO_MATCH
        assert (of_frame.tracks.judged | ~matched).all() and (matched | ~of_frame.switch).all()
        kinds = {"tp": matched & ~of_frame.switch, "ids": of_frame.switch, "fp": of_frame.false_positive}
        for name in TRACKING_CLASSES:
            for kind, mask in kinds.items():
                counts[name][kind] += int((of_frame.tracks.boxes.label[mask] == LABEL_OF_CLASS[name]).sum())
            missed = of_frame.annotations.boxes.label[of_frame.missed]
            counts[name]["fn"] += int((missed == LABEL_OF_CLASS[name]).sum())
    return counts


def assert_adds_up(tracks: Results, scenes: list[Scene]) -> None:
    events = track_events(tracks, scenes)
    summary = tracking_metrics(tracks, scenes).summary
    counted = totals(events)
    for kind in ("tp", "ids", "fp", "fn"):
        official = {name: np.nan_to_num(value) for name, value in summary["label_metrics"][kind].items()}
        assert {name: counted[name][kind] for name in TRACKING_CLASSES} == official
        assert sum(counted[name][kind] for name in TRACKING_CLASSES) == summary[kind]
    for scene in scenes:
        try:
            alone = tracking_metrics(tracks, [scene]).summary["amota"]
        except InputError:  # of all scenes together repeated identities may make no more matches than annotations
            alone = np.nan
        assert events.amota[scene.name] == pytest.approx(alone, nan_ok=True)
        for frame in scene.frames:
            of_frame = events.frames[frame.token]
            given = ~of_frame.tracks.in_gap
            assert of_frame.tracks.boxes.select(given).center_m.tolist() == tracks.boxes[frame.token].center_m.tolist()
            assert (~of_frame.annotations.in_gap).sum() == len(frame.annotations.boxes)


@given(
    seed=st.integers(0, 2**32 - 1),
    scene_lengths=st.lists(st.integers(1, 8), min_size=1, max_size=3).map(tuple),
    objects=st.integers(1, 8),
    grid_m=st.sampled_from([0.0, 1.0]),
    scores=st.sampled_from([1, 3, 20]),
    noise_m=st.sampled_from([0.3, 1.5]),
    faulty_identities=st.booleans(),
    annotated=st.sampled_from([("car",), ("bicycle", "pedestrian"), ("car", "truck", "bus")]),
)
def test_events_add_up_to_the_metrics_of_random_worlds(random_world, **world):
    with TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        path = random_world(predicted=("car", "bicycle", "pedestrian"), **world).write(root, "tracking")
        scenes, tracks = read_scenes(root, "v1.0-world"), read_tracks(path)
    try:
        tracking_metrics(tracks, scenes)
    except InputError as error:
        with pytest.raises(InputError, match="tracking_id"):
            track_events(tracks, scenes)
        assert "tracking_id" in str(error)
        return
    assert_adds_up(tracks, scenes)


@pytest.mark.parametrize("tracker", ["tracks_polymot", "tracks_centerpoint"])
@pytest.mark.parametrize("detector", ["fastbev", "cc3dt"])
def test_events_add_up_to_the_recorded_numbers_of_the_devkit(recorded, mini_val, detector, tracker):
    path, official = recorded(detector, tracker)
    tracks, scenes = read_tracks(path), read_scenes(mini_val, "v1.0-mini", "mini_val")
    assert_adds_up(tracks, scenes)
    counted = totals(track_events(tracks, scenes))
    for kind in ("tp", "ids", "fp", "fn"):
        assert kind in METRICS
        assert sum(of_class[kind] for of_class in counted.values()) == official.summary[kind]
