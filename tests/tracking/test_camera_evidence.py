"""2D boxes: whom they speak for, what they do for tracks, and what they never do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.tracking import tracking_metrics
from scenes import LABEL_OF_CLASS, Boxes3D, Camera, Scene
from scenes.boxes2d import Boxes2D
from scenes.city.simulated_camera_detector import simulate_camera_boxes
from scenes.city.simulated_detector import simulate_detections
from scenes.geometry import pose_matrix, rotation_from_yaw
from scenes.projected_boxes import projected_boxes
from tracking import Calibration, CameraEvidenceConfig, Tracker, TrackerConfig, track_results
from tracking.camera_evidence import SeenCameras, camera_support
from tracking.displacement import displaced

CONFIG = CameraEvidenceConfig(least_iou=0.4, least_score=0.3)
KEY_FRAME_US = 500_000
EGO = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Far from the origin, and turned; boxes are placed as it sees them."""
TRUCK = LABEL_OF_CLASS["truck"]


@pytest.fixture(scope="session")
def boxes_at(boxes_at: Callable[..., Boxes3D]) -> Callable[..., Boxes3D]:
    """As in every test of this room, at places seen from the ego."""
    return lambda places, **columns: boxes_at(places, **columns).transform(EGO)


@pytest.fixture(scope="session")
def random_boxes(random_boxes: st.SearchStrategy[Boxes3D]) -> st.SearchStrategy[Boxes3D]:
    """As in every test of this room, around the ego."""

    def around_ego(boxes: Boxes3D) -> Boxes3D:
        with np.errstate(invalid="ignore"):  # some velocities are infinite
            return boxes.transform(EGO)

    return random_boxes.map(around_ego)


def camera(yaw_rad: float = 0.0, name: str = "CAM") -> Camera:
    """A camera 1.5 m above the ego's origin that looks along x, turned to the left by `yaw_rad`."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    ego_from_camera = np.eye(4)
    ego_from_camera[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    ego_from_camera[2, 3] = 1.5
    intrinsic = np.array([[200.0, 0, 160], [0, 200, 90], [0, 0, 1]])
    return Camera(name, 0, Path("a.jpg"), (320, 180), intrinsic, ego_from_camera, EGO)


def looked(boxes: Boxes3D, seen_by: Camera | None = None, score: float = 0.8) -> tuple[Camera, Boxes2D]:
    """What a faultless 2D detector says of boxes."""
    seen_by = seen_by or camera()
    picked, edges, _, _ = projected_boxes(boxes, seen_by)
    return seen_by, Boxes2D(edges, boxes.label[picked], np.full(len(picked), score))


def same(first: Boxes3D, second: Boxes3D) -> bool:
    columns = ("center_m", "size_wlh_m", "rotation", "velocity_mps", "label", "score", "track_id")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in columns)


def test_a_2d_box_speaks_for_the_track_that_it_covers(boxes_at) -> None:
    tracks = boxes_at([(20.0, 0.0), (20.0, 8.0), (-20.0, 0.0)])
    assert camera_support(tracks, [looked(tracks.select([1]))], CONFIG).tolist() == [0.0, 0.8, 0.0]
    assert camera_support(tracks, [], CONFIG).tolist() == [0.0, 0.0, 0.0]


def test_class_score_and_overlap_must_agree(boxes_at) -> None:
    track = boxes_at([(20.0, 0.0)])
    seen_by, exact = looked(track)
    shifted = Boxes2D(exact.edges_px + np.array([12.0, 0.0, 12.0, 0.0]), exact.label, exact.score)
    truck = Boxes2D(exact.edges_px, np.array([TRUCK]), exact.score)
    for boxes in (shifted, truck, looked(track, score=0.29)[1]):
        assert camera_support(track, [(seen_by, boxes)], CONFIG).tolist() == [0.0]
    assert camera_support(track, [(seen_by, shifted)], replace(CONFIG, least_iou=0.1)).tolist() == [0.8]


def test_one_2d_box_speaks_for_one_track_only(boxes_at) -> None:
    tracks = boxes_at([(20.0, 0.4), (20.0, 0.0)])
    assert camera_support(tracks, [looked(tracks.select([1]))], CONFIG).tolist() == [0.0, 0.8]


def test_of_several_cameras_the_best_box_counts(boxes_at) -> None:
    track = boxes_at([(20.0, 2.0)])
    cameras = [looked(track, score=0.4), looked(track, camera(0.3), score=0.7), looked(track, camera(np.pi))]
    assert camera_support(track, cameras, CONFIG).tolist() == [0.7]


def test_a_track_behind_the_camera_is_not_spoken_for(boxes_at) -> None:
    seen_by, boxes = looked(boxes_at([(20.0, 0.0)]))
    assert camera_support(boxes_at([(-20.0, 0.0)]), [(seen_by, boxes)], CONFIG).tolist() == [0.0]


def drive(tracker: Tracker, boxes: Boxes3D, unseen: int, cameras: SeenCameras) -> list[Boxes3D]:
    """Six frames of 3D boxes, then frames without any, in which only the cameras see."""
    frames = [boxes] * 6 + [Boxes3D.empty()] * unseen
    return [
        tracker.step(frame, index * KEY_FRAME_US, EGO, cameras if index >= 6 else ())
        for index, frame in enumerate(frames)
    ]


def test_2d_boxes_keep_a_track_alive_for_a_while(boxes_at) -> None:
    car = boxes_at([(20.0, 0.0)], velocity_mps=np.full((1, 2), 0.01))
    config = TrackerConfig(camera_evidence=CameraEvidenceConfig(keep_s=3.0))
    alone = [len(boxes) for boxes in drive(Tracker(config), car, 10, ())[6:]]
    kept = [len(boxes) for boxes in drive(Tracker(config), car, 10, [looked(car)])[6:]]
    assert alone == [1] + [0] * 9
    assert kept == [1] * 6 + [0] * 4


def test_cameras_that_see_nothing_keep_no_track(boxes_at) -> None:
    car = boxes_at([(20.0, 0.0)], velocity_mps=np.full((1, 2), 0.01))
    seen_by, boxes = looked(car)
    blind = [(seen_by, boxes.select(np.zeros(0, np.int64)))]
    assert [len(output) for output in drive(Tracker(), car, 4, blind)] == [1] * 7 + [0] * 3


def test_a_kept_track_takes_its_boxes_again(boxes_at) -> None:
    car = boxes_at([(20.0, 0.0)], velocity_mps=np.full((1, 2), 0.01))
    names = []
    for cameras in ((), [looked(car)]):
        tracker = Tracker()
        drive(tracker, car, 4, cameras)
        names.append(tracker.step(car, 10 * KEY_FRAME_US, EGO).track_id.tolist())
    assert names == [["2"], ["1"]]


def test_a_score_rises_by_what_the_cameras_say(boxes_at) -> None:
    car = boxes_at([(20.0, 0.0)])
    scores = []
    for weight in (0.0, 1.0, 2.0):
        config = TrackerConfig(camera_evidence=CameraEvidenceConfig(score_log_odds=weight), evidence_time_s=2.0)
        tracker = Tracker(config, Calibration())
        scores.append(
            [float(tracker.step(car, index * KEY_FRAME_US, EGO, [looked(car)]).score[0]) for index in range(4)]
        )
    share = 1.0 - np.exp(-(np.array([0.0, 0.5, 1.0, 1.5]) + 0.5) / 2.0)
    for weight, got in zip((0.0, 1.0, 2.0), scores, strict=True):
        odds = np.exp(0.8 * weight)  # 0.8 is the 2D boxes' score
        np.testing.assert_allclose(got, odds / (1.0 + odds) * share)


def test_a_score_rises_by_the_share_of_the_life_that_was_seen(boxes_at) -> None:
    car = boxes_at([(20.0, 0.0)])
    config = TrackerConfig(camera_evidence=CameraEvidenceConfig(score_log_odds=1.0), evidence_time_s=2.0)
    tracker = Tracker(config, Calibration())
    seen_by, boxes = looked(car)
    nothing = [(seen_by, boxes.select(np.zeros(0, np.int64)))]
    for index, cameras in enumerate([[(seen_by, boxes)], nothing, nothing, [(seen_by, boxes)]]):
        output = tracker.step(car, index * KEY_FRAME_US, EGO, cameras)
    odds = np.exp(0.8 * 2 / 4)
    assert output.score.tolist() == pytest.approx([odds / (1.0 + odds) * (1.0 - np.exp(-1.0))])


def test_frames_without_a_3d_box_belong_to_the_life_that_was_seen(boxes_at) -> None:
    """Four frames with a 3D box that no camera sees, then two seen by cameras alone."""
    car = boxes_at([(20.0, 0.0)], velocity_mps=np.full((1, 2), 0.01))
    tracker = Tracker(TrackerConfig(camera_evidence=CameraEvidenceConfig(keep_s=3.0)))
    for index in range(6):
        boxes, cameras = (car, ()) if index < 4 else (Boxes3D.empty(), [looked(car)])
        tracker.step(boxes, index * KEY_FRAME_US, EGO, cameras)
    # Each time 0.5 s more of a life of 2.5 s, then 3 s.
    first = 0.8 * 0.5 / 2.5
    assert tracker.state()["tracks.support"].tolist() == pytest.approx([first + (0.8 - first) * 0.5 / 3.0])


def test_2d_boxes_start_no_track(boxes_at) -> None:
    tracker = Tracker()
    for index in range(8):
        assert len(tracker.step(Boxes3D.empty(), index * KEY_FRAME_US, EGO, [looked(boxes_at([(20.0, 0.0)]))])) == 0


def test_offline_tracks_are_lifted_too(city_scenes) -> None:
    scenes = city_scenes[:1]
    detections, camera_boxes = simulate_detections(scenes), simulate_camera_boxes(scenes)
    config = TrackerConfig(camera_evidence=CameraEvidenceConfig(keep_s=0.0), report_probability=0.0)
    plain = track_results(detections, scenes, config, offline=True)
    lifted = track_results(detections, scenes, config, offline=True, camera_evidence=camera_boxes)
    higher = 0
    for token, boxes in plain.boxes.items():
        other = lifted.boxes[token]
        assert other.track_id.tolist() == boxes.track_id.tolist() and (other.score >= boxes.score - 1e-12).all()
        higher += int((other.score > boxes.score).sum())
    assert higher > 0.3 * sum(map(len, plain.boxes.values()))


def test_nothing_changes_without_2d_boxes(city_scenes) -> None:
    detections = simulate_detections(city_scenes)
    plain = track_results(detections, city_scenes)
    odd = TrackerConfig(camera_evidence=CameraEvidenceConfig(keep_s=9.0, score_log_odds=9.0, least_iou=0.0))
    unlooked = {token: {} for scene in city_scenes for token in scene.sample_tokens}
    blind = {
        frame.token: {seen.name: Boxes2D(np.zeros((0, 4)), np.zeros(0), np.zeros(0)) for seen in frame.cameras}
        for scene in city_scenes
        for frame in scene.frames
    }
    for evidence in (None, unlooked, blind):
        other = track_results(detections, city_scenes, odd, camera_evidence=evidence)
        assert all(same(boxes, other.boxes[token]) for token, boxes in plain.boxes.items())


def test_fewer_misses_and_more_amota_on_a_small_city(city_scenes: list[Scene]) -> None:
    every_track = TrackerConfig(report_probability=0.0)
    sums = {False: np.zeros(2), True: np.zeros(2)}
    for seed in range(3):
        detections, camera_boxes = (
            simulate_detections(city_scenes, seed=seed),
            simulate_camera_boxes(city_scenes, seed=seed),
        )
        for used in sums:
            tracks = track_results(detections, city_scenes, every_track, camera_evidence=camera_boxes if used else None)
            summary = tracking_metrics(tracks, city_scenes).summary
            sums[used] += (summary["amota"], summary["fn"])
    assert sums[True][0] > sums[False][0] and sums[True][1] < sums[False][1]


@st.composite
def camera_boxes(draw: st.DrawFn) -> Boxes2D:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 8))
    low = rng.uniform(0.0, 300.0, (count, 2))
    return Boxes2D(
        np.concatenate([low, low + rng.choice([0.0, 5.0, 40.0, 200.0], (count, 2))], axis=1),
        rng.integers(0, 10, count),
        rng.choice([0.0, 0.2, 0.5, 0.9], count),
    )


@given(data=st.data(), faultless=st.booleans())
def test_no_2d_box_speaks_twice_whatever_there_is(data, faultless: bool, random_boxes) -> None:
    tracks = data.draw(random_boxes)
    seen_by, boxes = looked(tracks) if faultless else (camera(), data.draw(camera_boxes()))
    support = camera_support(tracks, [(seen_by, boxes)], CONFIG)
    assert support.shape == (len(tracks),) and ((support == 0.0) | (support >= CONFIG.least_score)).all()
    for label in range(10):
        useful = (boxes.label == label) & (boxes.score >= CONFIG.least_score)
        assert (support[tracks.label == label] > 0.0).sum() <= useful.sum()


@settings(max_examples=40)
@given(data=st.data())
def test_identities_are_those_of_3d_boxes_and_scores_never_fall(data, random_boxes) -> None:
    """With matching left as it is (no time on 2D boxes), evidence changes nothing but scores, and those upwards.

    They fall where evidence speaks for a track of another class in the same place. All tracks are reported: a score
    that rises may pass the bound from which on they are.
    """
    config = TrackerConfig(camera_evidence=CameraEvidenceConfig(keep_s=0.0), report_probability=0.0)
    plain, helped = Tracker(config), Tracker(config)
    for index in range(data.draw(st.integers(1, 5))):
        boxes = data.draw(random_boxes)
        cameras = [(camera(), data.draw(camera_boxes())), looked(boxes, camera(np.pi, "BACK"))]
        before = plain.step(boxes, index * KEY_FRAME_US, EGO)
        after = helped.step(boxes, index * KEY_FRAME_US, EGO, cameras)
        assert same(before.replace(score=after.score), after)
        fallen = after.score < before.score - 1e-12
        assert displaced(after.center_m[:, :2], after.size_wlh_m[:, 1], after.label, after.score)[fallen].all()


@settings(max_examples=40)
@given(data=st.data())
def test_every_identity_began_with_a_3d_box(data, random_boxes) -> None:
    tracker = Tracker()
    boxes_so_far = 0
    for index in range(data.draw(st.integers(1, 5))):
        boxes = data.draw(st.one_of(random_boxes, st.just(Boxes3D.empty())))
        boxes_so_far += len(boxes)
        output = tracker.step(boxes, index * KEY_FRAME_US, EGO, [(camera(), data.draw(camera_boxes()))])
        assert all(1 <= int(name) <= boxes_so_far for name in output.track_id.tolist())
        assert len(set(output.track_id.tolist())) == len(output) and np.isfinite(output.score).all()
