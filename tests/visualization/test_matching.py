"""Events: the rules of CLEAR MOT on small scenes, and the official counts on real tracks."""

import itertools
import json
from collections import defaultdict
from dataclasses import replace

import motmetrics
import numpy as np
import pytest

from scenes import LABEL_OF_CLASS, Annotations, Boxes3D, Results, read_scenes, read_tracks
from scenes.classes import NO_CLASS
from visualization import boxes_by_frame, find_operating_points, scene_events
from visualization.matching import UNMATCHED

from .conftest import boxes_at

AHEAD, LEFT = (15.0, 0.0), (5.0, 12.0)
"""Where the two annotated cars of `small_scene` stand."""


def results(scene, per_frame: list[Boxes3D]) -> Results:
    return Results(dict(zip(scene.sample_tokens, per_frame, strict=True)))


def test_tracks_on_their_annotations_are_right(small_scene, small_tracks):
    for events in scene_events(small_scene, small_tracks, {}):
        assert events.match.tolist() == [0, 1]
        assert events.judged.all()
        assert not (events.false_positive.any() or events.switch.any() or events.missed.any())


def test_a_track_two_metres_away_is_wrong_and_its_object_missed(small_scene):
    tracks = results(small_scene, [boxes_at([(15.0, 2.0 + 1e-6), LEFT], ["1", "2"])] * 4)
    events = scene_events(small_scene, tracks, {})[0]
    assert events.match.tolist() == [UNMATCHED, 1]
    assert events.false_positive.tolist() == [True, False]
    assert events.missed.tolist() == [True, False]


def test_another_identity_on_the_same_object_is_a_switch_once(small_scene):
    per_frame = [boxes_at([AHEAD, LEFT], identities) for identities in (["1", "2"], ["1", "2"], ["9", "2"], ["9", "2"])]
    events = scene_events(small_scene, results(small_scene, per_frame), {})
    assert [event.switch.tolist() for event in events] == [[False] * 2, [False] * 2, [True, False], [False] * 2]


def test_who_matched_last_goes_on_though_another_is_nearer(small_scene):
    first = boxes_at([(15.0, 1.5)], ["1"])
    both = boxes_at([(15.0, 1.5), AHEAD], ["1", "2"])
    events = scene_events(small_scene, results(small_scene, [first, both, both, both]), {})
    assert events[3].match.tolist() == [0, UNMATCHED]
    assert not any(event.switch.any() for event in events)


def test_a_pause_is_no_switch(small_scene):
    seen, unseen = boxes_at([AHEAD], ["1"]), Boxes3D.empty()
    events = scene_events(small_scene, results(small_scene, [seen, unseen, unseen, seen]), {})
    assert not any(event.switch.any() for event in events)
    assert [event.missed.sum() for event in events] == [1, 2, 2, 1]


def test_weak_tracks_are_not_judged(small_scene):
    tracks = results(small_scene, [boxes_at([AHEAD, (30.0, 9.0)], ["1", "2"], score=0.3)] * 4)
    events = scene_events(small_scene, tracks, {0: 0.5})[0]
    assert not events.judged.any()
    assert not events.false_positive.any()
    assert events.missed.all()


def test_other_classes_do_not_match(small_scene):
    trucks = boxes_at([AHEAD], ["1"]).replace(label=np.array([1]))
    assert scene_events(small_scene, results(small_scene, [trucks] * 4), {})[0].false_positive.tolist() == [True]


def test_what_is_far_or_without_points_is_not_judged(small_scene):
    truth = boxes_at([(49.0, 0.0), (51.0, 0.0), (20.0, 5.0)], ["in", "out", "empty"])
    annotations = Annotations(truth, np.array([1, 1, 0]), np.zeros(3, int), np.zeros(3, int), Boxes3D.empty())
    scene = replace(small_scene, frames=(replace(small_scene.frames[0], annotations=annotations),))
    events = scene_events(scene, results(scene, [boxes_at([(60.0, 0.0)], ["1"])]), {})[0]
    assert events.missed.tolist() == [True, False, False]
    assert not events.judged.any()


def test_cycles_in_a_rack_are_not_judged(small_scene):
    bicycles = boxes_at([(10.0, 0.0), (20.0, 0.0)], ["in rack", "free"]).replace(label=np.array([7, 7]))
    rack = boxes_at([(10.0, 0.5)], ["rack"]).replace(label=np.array([NO_CLASS]))
    annotations = Annotations(bicycles, np.array([1, 1]), np.zeros(2, int), np.zeros(2, int), rack)
    scene = replace(small_scene, frames=(replace(small_scene.frames[0], annotations=annotations),))
    events = scene_events(scene, Results({}), {})[0]
    assert events.missed.tolist() == [False, True]


def test_a_scene_without_annotations_has_no_events(small_scene, small_tracks):
    frames = tuple(replace(frame, annotations=None) for frame in small_scene.frames)
    assert scene_events(replace(small_scene, frames=frames), small_tracks, {}) is None
    assert find_operating_points([replace(small_scene, frames=frames)], small_tracks) == {}


def test_the_operating_point_leaves_weak_false_positives_out(small_scene):
    strong = boxes_at([AHEAD, LEFT], ["1", "2"], score=0.9)
    weak = boxes_at([(30.0, 8.0)], ["3"], score=0.1)
    tracks = results(small_scene, [Boxes3D.concatenate([strong, weak])] * 4)
    assert find_operating_points([small_scene], tracks) == {0: pytest.approx(0.9)}


def test_an_identity_twice_in_a_frame_is_judged_box_by_box(small_scene):
    tracks = results(small_scene, [boxes_at([AHEAD, AHEAD], ["1", "1"])] * 4)
    for events in scene_events(small_scene, tracks, {}):
        assert sorted(events.match.tolist()) == [UNMATCHED, 0]


@pytest.mark.parametrize("tracker", ["fastbev/tracks_polymot", "cc3dt/tracks_centerpoint"])
def test_motmetrics_counts_the_same_events(shared, mini_val, tracker):
    """The official evaluation counts with motmetrics: fed with the judged boxes it has to agree."""
    tracks = read_tracks(shared / "expected" / f"{tracker}.json")
    for scene in read_scenes(mini_val, "v1.0-mini", "mini_val"):
        points = find_operating_points([scene], tracks)
        events = scene_events(scene, tracks, points)
        for name in ("car", "pedestrian", "bicycle"):
            label = LABEL_OF_CLASS[name]
            expected = motmetrics_counts(scene, boxes_by_frame(scene, tracks), events, label)
            truth = [frame.annotations.boxes for frame in scene.frames]
            tracked = boxes_by_frame(scene, tracks)
            assert expected == {
                "num_switches": sum(e.switch[b.label == label].sum() for e, b in zip(events, tracked, strict=True)),
                "num_misses": sum(e.missed[b.label == label].sum() for e, b in zip(events, truth, strict=True)),
                "num_false_positives": sum(
                    e.false_positive[b.label == label].sum() for e, b in zip(events, tracked, strict=True)
                ),
            }


def motmetrics_counts(scene, tracked, events, label) -> dict[str, int]:
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    number = defaultdict(itertools.count().__next__)
    for frame, boxes, event in zip(scene.frames, tracked, events, strict=True):
        truth = frame.annotations.boxes
        judged_truth = event.missed.copy()
        judged_truth[event.match[event.match != UNMATCHED]] = True
        theirs = truth.select(judged_truth & (truth.label == label))
        mine = boxes.select(event.judged & (boxes.label == label))
        distance_m = np.linalg.norm(theirs.center_m[:, None, :2] - mine.center_m[None, :, :2], axis=2)
        distance_m[distance_m >= 2.0] = np.nan
        accumulator.update([number[i] for i in theirs.track_id], [number[i] for i in mine.track_id], distance_m)
    metrics = ["num_switches", "num_misses", "num_false_positives"]
    summary = motmetrics.metrics.create().compute(accumulator, metrics=metrics)
    return {name: int(summary[name].iloc[0]) for name in metrics}


def test_counts_lie_near_the_official_ones(shared, mini_val):
    """Near, not equal: gaps are not interpolated here, and operating points are sought on a coarser grid."""
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    tracks = read_tracks(shared / "expected" / "fastbev" / "tracks_polymot.json")
    official = json.loads((shared / "expected" / "fastbev" / "tracks_polymot.metrics_summary.json").read_text())
    points = find_operating_points(scenes, tracks)
    events = [event for scene in scenes for event in scene_events(scene, tracks, points)]
    mistakes = sum(int(e.switch.sum() + e.missed.sum() + e.false_positive.sum()) for e in events)
    assert mistakes == pytest.approx(official["ids"] + official["fn"] + official["fp"], rel=0.1)
