"""The best that a tracker could make of detections."""

import numpy as np
import pytest

from evaluation.analysis.ceiling import ceiling_tracks
from evaluation.tracking import tracking_metrics
from scenes import Results, Scene, read_detections, read_scenes
from scenes.city import VERSION, make_city
from scenes.city.simulated_detector import simulate_detections


@pytest.fixture(scope="module")
def city_scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    root = tmp_path_factory.mktemp("ceiling") / "city"
    make_city(root, train_scenes=0, val_scenes=1, frames=8, seed=5, images=False, workers=1)
    return read_scenes(root, VERSION)


def test_only_right_boxes_under_the_names_of_objects(city_scenes: list[Scene]) -> None:
    detections = simulate_detections(city_scenes)
    best = ceiling_tracks(detections, city_scenes)
    of_object: dict[tuple[str, str], set[str]] = {}
    for scene in city_scenes:
        for frame in scene.frames:
            assert frame.annotations is not None
            objects, boxes, given = frame.annotations.boxes, best.boxes[frame.token], detections.boxes[frame.token]
            assert boxes.track_id is not None and objects.track_id is not None
            assert len(set(boxes.track_id.tolist())) == len(boxes)
            places = {tuple(place) for place in given.center_m.tolist()}
            assert all(tuple(place) in places for place in boxes.center_m.tolist())
            for index, identity in enumerate(boxes.track_id.tolist()):
                alike = objects.label == boxes.label[index]
                offsets_m = objects.center_m[:, :2] - boxes.center_m[index, :2]
                near = alike & (np.hypot(offsets_m[:, 0], offsets_m[:, 1]) < 2.0)
                assert near.any()
                if near.sum() == 1:
                    name = str(objects.track_id[np.flatnonzero(near)[0]])
                    of_object.setdefault((scene.name, name), set()).add(identity)
    assert of_object and np.mean([len(names) == 1 for names in of_object.values()]) > 0.9


def test_no_tracker_reaches_it(shared, mini_val, recorded) -> None:
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    tokens = {token for scene in scenes for token in scene.sample_tokens}
    detections = read_detections(recorded("fastbev", "detections")[0])
    own = Results({token: boxes for token, boxes in detections.boxes.items() if token in tokens}, detections.meta)
    summary = tracking_metrics(ceiling_tracks(own, scenes), scenes).summary
    _, recorded_tracker = recorded("fastbev", "tracks_polymot")
    assert summary["amota"] > recorded_tracker.summary["amota"] + 0.2
    assert summary["ids"] < 5 and summary["motar"] > 0.98
