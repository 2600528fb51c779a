"""A simulated 2D detector that errs like one."""

from dataclasses import replace

import numpy as np
import pytest

from scenes import Camera, Scene
from scenes.boxes2d import Boxes2D, CameraBoxes, box_iou
from scenes.city.simulated_camera_detector import CameraDetectorNoise, simulate_camera_boxes
from scenes.projected_boxes import projected_boxes
from scenes.scene import Annotations

PERFECT = CameraDetectorNoise(
    even_height=1e-9, occlusion_loss=0.0, edge_error=0.0, hidden_part=0.0, confusion_probability=0.0, clutter=0.0
)


@pytest.fixture(scope="module")
def boxes(plain_scenes: list[Scene]) -> CameraBoxes:
    return simulate_camera_boxes(plain_scenes)


def images(scenes: list[Scene]) -> list[tuple[str, Camera, Annotations]]:
    return [
        (frame.token, camera, frame.annotations)
        for scene in scenes
        for frame in scene.frames
        for camera in frame.cameras
    ]


def same(first: Boxes2D, second: Boxes2D) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("edges_px", "label", "score"))


def test_same_seed_same_boxes_in_any_order_of_scenes(plain_scenes, boxes) -> None:
    again = simulate_camera_boxes(plain_scenes[::-1])
    other = simulate_camera_boxes(plain_scenes, seed=1)
    everywhere = [(token, camera.name) for token, camera, _ in images(plain_scenes)]
    assert all(same(boxes[token][name], again[token][name]) for token, name in everywhere)
    assert not all(same(boxes[token][name], other[token][name]) for token, name in everywhere)


def test_without_noise_every_projected_box_is_there(plain_scenes) -> None:
    exact = simulate_camera_boxes(plain_scenes[:1], PERFECT)
    for token, camera, annotations in images(plain_scenes[:1]):
        _, edges, _, _ = projected_boxes(annotations.boxes, camera)
        large = ((edges[:, 2:] - edges[:, :2]) >= 2.0).all(axis=1)
        given = exact[token][camera.name].edges_px
        np.testing.assert_allclose(given[np.lexsort(given.T)], edges[large][np.lexsort(edges[large].T)])


def test_what_is_hidden_is_missed_and_good_boxes_score_high(plain_scenes, boxes) -> None:
    found: dict[int, list[bool]] = {1: [], 4: []}
    scores: dict[bool, list[float]] = {True: [], False: []}
    for token, camera, annotations in images(plain_scenes):
        picked, edges, _, _ = projected_boxes(annotations.boxes, camera)
        given = boxes[token][camera.name]
        overlap = box_iou(edges, given.edges_px) * (annotations.boxes.label[picked][:, None] == given.label)
        for level, best in zip(annotations.visibility[picked].tolist(), overlap.max(axis=1, initial=0.0), strict=True):
            found.setdefault(level, []).append(bool(best > 0.5))
        for score, best in zip(given.score.tolist(), overlap.max(axis=0, initial=0.0), strict=True):
            scores[bool(best > 0.5)].append(score)
    assert np.mean(found[1]) < 0.4 and np.mean(found[4]) > 0.8
    assert np.mean(scores[True]) > np.mean(scores[False]) + 0.2 and len(scores[False]) > 0


def test_boxes_lie_in_their_images_best_first(plain_scenes, boxes) -> None:
    for token, camera, _ in images(plain_scenes):
        given = boxes[token][camera.name]
        assert (given.edges_px >= 0.0).all() and (given.edges_px <= [camera.width_px, camera.height_px] * 2).all()
        assert (np.diff(given.score) <= 0.0).all() and ((given.score > 0.0) & (given.score < 1.0)).all()


def test_frames_without_annotations_are_refused(plain_scenes) -> None:
    bare = replace(plain_scenes[0], frames=(replace(plain_scenes[0].frames[0], annotations=None),))
    with pytest.raises(ValueError, match="no annotations"):
        simulate_camera_boxes([bare])
