"""Which colour a box gets: one colour an identity everywhere, or by class, or by score.

The palette starts from Okabe and Ito's colours; the others were sought so that any two of the twelve stay apart (by
17 in CIELAB, where 2 can just be seen) to an eye without red, green or blue cones as well, and are legible on dark
ground.
White belongs to annotations and grey to detections, so no identity has them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache, partial
from typing import Final, TypeAlias

import matplotlib
import numpy as np
from numpy.typing import NDArray

from scenes import NUSCENES, Boxes3D, Taxonomy

Image: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""

ColorArray: TypeAlias = NDArray[np.uint8]
"""(N, 3) RGB."""

Coloring: TypeAlias = Callable[[Boxes3D], ColorArray]

PALETTE: Final = (
    "#56b4e9",
    "#e69f00",
    "#58ebbd",
    "#f0e442",
    "#f532bb",
    "#9c7f06",
    "#6e72ff",
    "#e6ff9b",
    "#cb627b",
    "#a1d5dd",
    "#189a4c",
    "#9f8eff",
)

ANNOTATION_COLOR: Final = "#ffffff"
DETECTION_COLOR: Final = "#a8b0bc"

_LOWEST_SHADE = 0.3
"""Where on the colour map a score of 0 lies: the darkest shades cannot be seen on dark ground."""


def rgb(color: str) -> NDArray[np.uint8]:
    """(3,) RGB of a colour written `#rrggbb`."""
    return np.frombuffer(bytes.fromhex(color.removeprefix("#")), dtype=np.uint8)


def identity_color(identity: str) -> str:
    """The colour of a track, `#rrggbb`: a stable hash, the same in every picture, page, run and process."""
    return PALETTE[zlib.crc32(identity.encode("utf-8", "surrogatepass")) % len(PALETTE)]


def class_color(label: int, taxonomy: Taxonomy = NUSCENES) -> str:
    """The colour of a class, `#rrggbb`, by its label: its own, or one of the palette."""
    own = taxonomy.classes[label].color if label < len(taxonomy) else None
    return own or PALETTE[label % len(PALETTE)]


def score_color(score: float) -> str:
    """The colour of a score in [0, 1], `#rrggbb`: dark blue to yellow, readable without red and green."""
    position = _LOWEST_SHADE + (1.0 - _LOWEST_SHADE) * min(max(score, 0.0), 1.0)
    return str(matplotlib.colors.to_hex(matplotlib.colormaps["cividis"](position)))


def color_by_identity(boxes: Boxes3D) -> ColorArray:
    """One colour an identity, grey for "". Boxes without `track_id` take their query's, and grey without either."""
    if boxes.track_id is not None:
        identities = boxes.track_id.tolist()
        return _stack([identity_color(identity) if identity else DETECTION_COLOR for identity in identities])
    if boxes.query_id is not None:
        return _stack([identity_color(str(query)) for query in boxes.query_id.tolist()])
    return _stack([DETECTION_COLOR] * len(boxes))


def color_by_class(boxes: Boxes3D, taxonomy: Taxonomy = NUSCENES) -> ColorArray:
    """One colour a class."""
    return _stack([class_color(label, taxonomy) for label in boxes.label.tolist()])


def color_by_score(boxes: Boxes3D) -> ColorArray:
    """From dark blue (0) to yellow (1)."""
    return _stack([score_color(score) for score in boxes.score.tolist()])


def single_color(color: str) -> Coloring:
    """Every box in one colour, written `#rrggbb`."""

    def color_all(boxes: Boxes3D) -> ColorArray:
        return _stack([color] * len(boxes))

    return color_all


COLORINGS: Final[dict[str, Coloring]] = {
    "identity": color_by_identity,
    "class": color_by_class,
    "score": color_by_score,
}
"""The colourings that a user chooses from, by name."""


def coloring_of(name: str, taxonomy: Taxonomy) -> Coloring:
    """The colouring of a name, for boxes of these classes."""
    return partial(color_by_class, taxonomy=taxonomy) if name == "class" else COLORINGS[name]


def class_legend(taxonomy: Taxonomy = NUSCENES) -> list[tuple[str, str]]:
    """(class name, colour) of the classes."""
    return [(name, class_color(label, taxonomy)) for label, name in enumerate(taxonomy.names)]


@cache
def _rgb_tuple(color: str) -> tuple[int, int, int]:
    red, green, blue = rgb(color).tolist()
    return red, green, blue


def _stack(colors: list[str]) -> ColorArray:
    return np.array([_rgb_tuple(color) for color in colors], dtype=np.uint8).reshape(-1, 3)
