"""The settings for classes of one's own; those of nuScenes are compared with the devkit's where they are written."""

from evaluation.engine.configuration import DETECTION_CONFIG, TRACKING_CONFIG, detection_config, tracking_config
from scenes import ObjectClass, Taxonomy

OWN = Taxonomy(
    (
        *(
            ObjectClass(f"thing_{number}", categories=(f"thing_{number}",), tracked=False, range_m=20.0)
            for number in range(10)
        ),
        ObjectClass("tram", categories=("tram",), tracked=True, range_m=80.0, color="#ff0000"),
        ObjectClass("bicycle", categories=("bicycle",), tracked=True, range_m=30.5),
        ObjectClass("cart", categories=("cart",), tracked=True, range_m=25.0),
        ObjectClass("car", categories=("car",), tracked=True, range_m=60.0),
    )
)


def test_detection_has_all_classes_with_nuscenes_own_first() -> None:
    config = detection_config(OWN)
    things = {f"thing_{number}": 20 for number in range(10)}
    ranges_m = {"car": 60, "bicycle": 30.5, **things, "tram": 80, "cart": 25}
    assert list(config["class_range"].items()) == list(ranges_m.items())
    assert [type(value) for value in config["class_range"].values()] == [type(value) for value in ranges_m.values()]
    assert {**config, "class_range": None} == {**DETECTION_CONFIG, "class_range": None}


def test_tracking_has_the_tracked_classes_with_their_names_and_colors() -> None:
    config = tracking_config(OWN)
    assert config["tracking_names"] == ["bicycle", "car", "cart", "tram"]
    assert config["pretty_tracking_names"] == {"tram": "Tram", "bicycle": "Bicycle", "cart": "Cart", "car": "Car"}
    # The devkit's color, the class's own, or one of matplotlib's ten by the class's place among all.
    assert config["tracking_colors"] == {"tram": "#ff0000", "bicycle": "C9", "cart": "C2", "car": "C0"}
    assert list(config["class_range"].items()) == [("car", 60), ("bicycle", 30.5), ("tram", 80), ("cart", 25)]
    assert config.keys() == TRACKING_CONFIG.keys()
    assert config["metric_worst"] == TRACKING_CONFIG["metric_worst"]
