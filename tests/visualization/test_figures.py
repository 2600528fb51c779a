"""Pictures for papers: formats, sizes, which frames, the same bytes twice."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from scenes import InputError
from visualization import DrawingOptions, HeatAnnotator, draw_figure, error_positions, identity_color, write_error_heat
from visualization import write_figure as write
from visualization.colors import rgb
from visualization.heat import ERROR_KINDS, draw_error_heat
from visualization.views import BirdsEyeView

from .conftest import boxes_at


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
@pytest.mark.parametrize("frames", [[0], [0, 2, 3]])
def test_formats(small_scene, small_tracks, tmp_path, suffix, magic, frames):
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        write(small_scene, small_tracks, path, frames, DrawingOptions(annotations=True))
    assert paths[0].read_bytes().startswith(magic)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_boxes_and_identities_are_text_and_lines_in_svg(small_scene, small_tracks, tmp_path):
    path = tmp_path / "a.svg"
    write(small_scene, small_tracks, path)
    assert path.read_text().count(identity_color("1")) >= 4


def test_one_frame_shows_six_cameras_and_a_strip_one_each(small_scene, small_tracks):
    assert len(draw_figure(small_scene, small_tracks, [0]).axes) == 7
    assert len(draw_figure(small_scene, small_tracks, [0, 1, 2]).axes) == 6


def test_without_images_the_birds_eye_view_alone(small_scene, small_tracks):
    scene = replace(small_scene, frames=tuple(replace(frame, cameras=()) for frame in small_scene.frames))
    assert len(draw_figure(scene, small_tracks, [0]).axes) == 1
    assert len(draw_figure(scene, small_tracks, [0, 1]).axes) == 2


@pytest.mark.parametrize("color_by", ["identity", "class", "score"])
def test_every_colouring_has_a_legend(small_scene, small_tracks, color_by):
    figure = draw_figure(small_scene, small_tracks, [0], DrawingOptions(color_by=color_by))
    assert figure.legends[0].get_texts()


@pytest.mark.parametrize("color_by", ["identity", "class", "score"])
@pytest.mark.parametrize("with_cameras", [True, False])
def test_the_legend_stands_in_the_figure(small_scene, small_tracks, color_by, with_cameras):
    """Also below the narrow picture of a scene without images, with all that a legend can say, below what is drawn."""
    cameras = {} if with_cameras else {"cameras": ()}
    scene = replace(small_scene, frames=tuple(replace(frame, **cameras) for frame in small_scene.frames))
    boxes = small_tracks.boxes[scene.sample_tokens[0]]
    many = type(boxes).concatenate([boxes.replace(label=np.full(len(boxes), label)) for label in range(10)])
    tracks = replace(small_tracks, boxes={**small_tracks.boxes, scene.sample_tokens[0]: many})
    options = DrawingOptions(color_by=color_by, annotations=True, shown="tracks that count at the best MOTA")
    figure = draw_figure(scene, tracks, [0], options)
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    legend = figure.legends[0].get_window_extent()
    assert min(legend.x0, legend.y0) >= 0 and legend.x1 <= width
    assert legend.y1 <= min(axes.get_position().y0 for axes in figure.axes) * height


@pytest.mark.parametrize("index", [-1, 4])
def test_a_frame_that_is_not_there(small_scene, small_tracks, tmp_path, index):
    with pytest.raises(InputError, match=f"'scene-a' has 4 frames, none with number {index + 1}"):
        write(small_scene, small_tracks, tmp_path / "a.png", [0, index])
    assert list(tmp_path.glob("*a*.png")) == []


def test_a_picture_has_the_colour_of_the_identity(small_scene, small_tracks, tmp_path):
    write(small_scene, small_tracks, tmp_path / "a.png")
    image = cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1].astype(int)
    for identity in ("1", "2"):
        assert (np.abs(image - rgb(identity_color(identity))).max(axis=2) < 6).sum() > 50


def test_errors_lie_where_they_happened(small_scene, small_tracks):
    stray = {token: boxes_at([(15.0, 0.0), (30.0, 10.0)], ["1", "3"]) for token in small_scene.sample_tokens}
    positions = error_positions([small_scene], replace(small_tracks, boxes=stray))
    # The car drives a metre a frame straight on; positions are seen from it.
    assert positions["misses"][:, :2] == pytest.approx(np.array([[5.0 - i, 12.0] for i in range(4)]))
    assert positions["false positives"][:, :2] == pytest.approx(np.array([[30.0 - i, 10.0] for i in range(4)]))
    assert len(positions["switches"]) == 0


def test_heat_adds_up_to_the_number_of_points():
    view = BirdsEyeView(np.eye(4), 200, 200, pixels_per_m=4.0)
    points_m = np.random.default_rng(0).uniform(-10, 10, (50, 3))
    density = HeatAnnotator().density(points_m, view)
    assert density.sum() / view.pixels_per_m**2 == pytest.approx(50, rel=1e-3)


def test_kinds_of_errors_share_one_scale():
    """Ten misses at one place and one switch at another: the switch is faint, whatever else there is of its kind."""
    place = np.array([[20.0, 0.0, 0.0]])
    errors_m = {"misses": np.repeat(place, 10, axis=0), "false positives": place[:0], "switches": place}
    image = draw_error_heat(errors_m, frames=40).astype(int)
    side = image.shape[1] // 3
    empty = image[:side, side : 2 * side]
    heat = [np.abs(image[:side, column * side : (column + 1) * side] - empty)[40:].sum() for column in (0, 2)]
    assert heat[0] > 3 * heat[1] > 0


def test_no_error_at_all_is_an_empty_picture():
    none = np.zeros((0, 3))
    image = draw_error_heat(dict.fromkeys(ERROR_KINDS, none), frames=4)
    side = image.shape[1] // 3
    assert (image[40:side, :side] == image[40:side, side : 2 * side]).all()


def test_the_picture_of_errors(small_scene, small_tracks, tmp_path):
    write_error_heat([small_scene], small_tracks, tmp_path / "errors.png")
    image = cv2.imread(str(tmp_path / "errors.png"))
    side = image.shape[1] // len(ERROR_KINDS)
    assert side < image.shape[0] < 1.2 * side  # the panels are square; below them stands the scale
    bare = replace(small_scene, frames=tuple(replace(frame, annotations=None) for frame in small_scene.frames))
    with pytest.raises(InputError, match="no scene is annotated"):
        write_error_heat([bare], small_tracks, tmp_path / "none.png")
