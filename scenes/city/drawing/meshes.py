"""Solid bodies made of flat faces: what cars, people and houses look like.

A mesh is built in metres at its kind's mean size, every part a convex solid, and then scaled to the unit box, so that
a drawn individual fills its annotated box exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.city.catalog import KIND_INDEX, KINDS
from scenes.geometry import FloatArray


class Role(IntEnum):
    """What a face is made of; decides its colour."""

    BODY = 0
    SECOND = 1
    GLASS = 2
    RUBBER = 3
    TRIM = 4
    METAL = 5
    HEADLIGHT = 6
    TAILLIGHT = 7
    SKIN = 8
    HAIR = 9
    WHITE = 10
    WOOD = 11
    LEAVES = 12
    FACADE = 13
    ROOF = 14
    LAMP = 15
    HIGH_VISIBILITY = 16
    RED = 17
    AMBER = 18
    GREEN = 19
    GROUND = 20


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in the unit box.

    Attributes:
        vertices: (V, 3) in [-0.5, 0.5]: forward, left, up.
        triangles: (F, 3) vertex indices, anticlockwise seen from outside.
        roles: (F,) `Role` of each triangle.
    """

    vertices: FloatArray
    triangles: NDArray[np.int64]
    roles: NDArray[np.int64]


_WHEEL_SIDES: Final = 10


def _circle(x: float, y: float, z: float, radius: float) -> FloatArray:
    """(10, 3) points around (x, z) at one y."""
    angle = 2.0 * np.pi * (np.arange(_WHEEL_SIDES) + 0.5) / _WHEEL_SIDES
    return np.column_stack([x + radius * np.cos(angle), np.full(_WHEEL_SIDES, y), z + radius * np.sin(angle)])


class _Builder:
    """Collects convex parts in metres: x forward and y left from the middle, z up from the ground."""

    def __init__(self) -> None:
        self._vertices: list[FloatArray] = []
        self._triangles: list[tuple[int, int, int]] = []
        self._roles: list[int] = []
        self._count = 0

    def solid(self, points: FloatArray, faces: Sequence[Sequence[int]], role: Role) -> None:
        """A convex solid; faces are turned outwards whatever their winding."""
        middle = points.mean(axis=0)
        for face in faces:
            corners = points[list(face)]
            normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
            outward = normal @ (corners.mean(axis=0) - middle) > 0.0
            ordered = list(face) if outward else list(face)[::-1]
            for second, third in pairwise(ordered[1:]):
                self._triangles.append((self._count + ordered[0], self._count + second, self._count + third))
                self._roles.append(int(role))
        self._vertices.append(points)
        self._count += len(points)

    def frustum(
        self,
        low: tuple[float, float, float, float],
        high: tuple[float, float, float, float],
        z: tuple[float, float],
        role: Role,
    ) -> None:
        """Between a rectangle (x0, x1, y0, y1) at height z[0] and one at z[1]."""
        points = [
            (x, y, height)
            for (x0, x1, y0, y1), height in ((low, z[0]), (high, z[1]))
            for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        ]
        faces = [(0, 1, 2, 3), (4, 5, 6, 7), *((i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4) for i in range(4))]
        self.solid(np.array(points), faces, role)

    def box(self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], role: Role) -> None:
        """An axis-parallel box."""
        self.frustum((*x, *y), (*x, *y), z, role)

    def profile(self, outline_xz: Sequence[tuple[float, float]], y: tuple[float, float], role: Role) -> None:
        """A convex outline in the (x, z) plane, extruded along y."""
        outline = np.array(outline_xz)
        sides = [np.column_stack([outline[:, 0], np.full(len(outline), side), outline[:, 1]]) for side in y]
        self._extruded(sides[0], sides[1], role)

    def wheel(self, x: float, y: tuple[float, float], radius: float, hub: Role = Role.METAL) -> None:
        """A tyre that stands on the ground, from y[0] to its outer side y[1], and the hub on that side."""
        inward = y[0] - y[1]
        tyre = [_circle(x, side, radius, radius) for side in (y[0], y[1] + 0.012 * np.sign(inward))]
        self._extruded(tyre[0], tyre[1], Role.RUBBER)
        # One face for the hub: its own solid has no depth, so its middle is put inside the tyre.
        rim = np.concatenate([_circle(x, y[1], radius, 0.6 * radius), [[x, y[0] + 0.5 * inward, radius]]])
        self.solid(rim, [range(len(rim) - 1)], hub)

    def post(
        self, x: float, y: float, z: tuple[float, float], radii: tuple[float, float], role: Role, sides: int = 8
    ) -> None:
        """An upright cylinder or cone stump."""
        angle = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
        rings = [
            np.column_stack([x + r * np.cos(angle), y + r * np.sin(angle), np.full(sides, height)])
            for r, height in zip(radii, z, strict=True)
        ]
        self._extruded(rings[0], rings[1], role)

    def beam(
        self, start: tuple[float, float, float], end: tuple[float, float, float], thickness: float, role: Role
    ) -> None:
        """A square bar between two points."""
        a, b = np.array(start), np.array(end)
        along = (b - a) / np.linalg.norm(b - a)
        helper = np.array([0.0, 1.0, 0.0]) if abs(along[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
        side = np.cross(along, helper)
        side /= np.linalg.norm(side)
        up = np.cross(side, along)
        half = 0.5 * thickness
        ring = np.array([half * (i * side + j * up) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
        self._extruded(a + ring, b + ring, role)

    def ball(
        self, center: tuple[float, float, float], radii: tuple[float, float, float], role: Role, sides: int = 8
    ) -> None:
        """A rough ellipsoid: two rings and two poles."""
        angle = 2.0 * np.pi * np.arange(sides) / sides
        ring = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(sides)])
        levels = np.array([-0.75, -0.25, 0.35, 0.8])
        widths = np.sqrt(1.0 - levels**2)
        unit = [np.array([[0.0, 0.0, -1.0]])]
        unit += [ring * [w, w, 0.0] + [0.0, 0.0, level] for w, level in zip(widths, levels, strict=True)]
        unit.append(np.array([[0.0, 0.0, 1.0]]))
        points = np.concatenate(unit) * np.array(radii) + np.array(center)
        last = len(points) - 1
        faces: list[tuple[int, ...]] = []
        for i in range(sides):
            j = (i + 1) % sides
            faces.append((0, 1 + i, 1 + j))
            for level in range(len(levels) - 1):
                low, high = 1 + level * sides, 1 + (level + 1) * sides
                faces.append((low + i, low + j, high + j, high + i))
            top = 1 + (len(levels) - 1) * sides
            faces.append((last, top + i, top + j))
        self.solid(points, faces, role)

    def _extruded(self, first: FloatArray, second: FloatArray, role: Role) -> None:
        count = len(first)
        faces: list[tuple[int, ...]] = [tuple(range(count)), tuple(range(count, 2 * count))]
        faces += [(i, (i + 1) % count, (i + 1) % count + count, i + count) for i in range(count)]
        self.solid(np.concatenate([first, second]), faces, role)

    def build(self) -> Mesh:
        """The parts, scaled so that they fill the unit box."""
        vertices = np.concatenate(self._vertices)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        unit = (vertices - low) / (high - low) - 0.5
        return Mesh(unit, np.array(self._triangles, dtype=np.int64), np.array(self._roles, dtype=np.int64))


@dataclass(frozen=True)
class _CarShape:
    """Where a car's outline bends: metres from its middle (x, forward) and above the ground (z)."""

    hood_z: float
    windshield_x: tuple[float, float]
    rear_window_x: tuple[float, float]
    deck_z: float
    wheel_radius: float = 0.33


_CAR_SHAPES: Final = {
    "sedan": _CarShape(0.92, (1.10, 0.30), (-1.72, -1.02), 0.98),
    "hatchback": _CarShape(0.95, (1.10, 0.38), (-1.98, -1.62), 1.00),
    "suv": _CarShape(1.06, (1.15, 0.52), (-2.26, -1.98), 1.10, 0.38),
    "van": _CarShape(1.15, (1.95, 1.15), (-2.56, -2.46), 1.25, 0.34),
}


def _car(name: str) -> Mesh:
    shape = _CAR_SHAPES[name]
    width, length, height = KINDS[KIND_INDEX[name]].size_wlh_m
    nose, side = 0.5 * length, 0.5 * width
    b = _Builder()
    hood, deck = shape.hood_z, shape.deck_z
    (ws_low, ws_high), (rw_low, rw_high) = shape.windshield_x, shape.rear_window_x
    b.profile(
        [
            (nose - 0.06, 0.36),
            (nose, 0.50),
            (nose - 0.04, 0.68),
            (nose - 0.28, 0.80),
            (ws_low, hood),
            (rw_low, deck),
            (-nose + 0.04, deck - 0.12),
            (-nose, 0.60),
            (-nose + 0.06, 0.36),
        ],
        (-side + 0.04, side - 0.04),
        Role.BODY,
    )
    b.box((-nose + 0.12, nose - 0.12), (-side + 0.06, side - 0.06), (0.20, 0.42), Role.TRIM)
    sill, roof = side - 0.08, side - 0.30
    belt = min(hood, deck) - 0.02
    b.frustum((rw_low, ws_low, -sill, sill), (rw_high, ws_high, -roof, roof), (belt, height - 0.06), Role.GLASS)
    b.frustum(
        (rw_high - 0.05, ws_high + 0.05, -roof - 0.02, roof + 0.02),
        (rw_high + 0.10, ws_high - 0.14, -roof + 0.06, roof - 0.06),
        (height - 0.08, height),
        Role.BODY,
    )
    for y in (-1.0, 1.0):
        for share in (0.42, 0.86):
            low_x = ws_low + share * (rw_low - ws_low)
            high_x = ws_high + share * (rw_high - ws_high)
            b.beam((low_x, y * (sill - 0.01), belt), (high_x, y * (roof - 0.01), height - 0.05), 0.07, Role.BODY)
        for x in (nose - 0.82, -nose + 0.86):
            b.wheel(x, (y * (side - 0.25), y * side), shape.wheel_radius)
        light = (y * (side - 0.48), y * (side - 0.06))
        b.box((nose - 0.25, nose - 0.015), light, (0.62, 0.74), Role.HEADLIGHT)
        b.box((-nose + 0.012, -nose + 0.2), light, (deck - 0.30, deck - 0.14), Role.TAILLIGHT)
        b.box((ws_low - 0.30, ws_low - 0.12), (y * (side - 0.12), y * side), (belt, belt + 0.14), Role.BODY)
    b.box((nose - 0.1, nose - 0.008), (-0.45, 0.45), (0.44, 0.60), Role.TRIM)
    b.box((-nose + 0.004, -nose + 0.1), (-0.26, 0.26), (0.56, 0.68), Role.WHITE)
    return b.build()


def _pickup() -> Mesh:
    width, length, height = KINDS[KIND_INDEX["pickup"]].size_wlh_m
    nose, side = 0.5 * length, 0.5 * width
    b = _Builder()
    b.profile(
        [(nose, 0.45), (nose, 0.85), (nose - 0.2, 1.02), (0.9, 1.12), (-0.7, 1.14), (-0.7, 0.45)],
        (-side + 0.03, side - 0.03),
        Role.BODY,
    )
    b.frustum(
        (-0.68, 1.0, -side + 0.1, side - 0.1), (-0.5, 0.35, -side + 0.3, side - 0.3), (1.1, height - 0.06), Role.GLASS
    )
    b.box((-0.55, 0.4), (-side + 0.28, side - 0.28), (height - 0.08, height), Role.BODY)
    b.box((-nose, -0.7), (-side + 0.03, side - 0.03), (0.45, 0.72), Role.TRIM)
    for y in (-1.0, 1.0):
        b.box((-nose, -0.7), (y * (side - 0.12), y * (side - 0.03)), (0.6, 1.12), Role.BODY)
        _wheels(b, (nose - 0.95, -nose + 1.15), y, side, 0.38)
        b.box((nose - 0.2, nose + 0.01), (y * (side - 0.45), y * (side - 0.08)), (0.72, 0.9), Role.HEADLIGHT)
        b.box((-nose - 0.01, -nose + 0.1), (y * (side - 0.2), y * (side - 0.04)), (0.75, 1.08), Role.TAILLIGHT)
    b.box((-nose, -nose + 0.08), (-side + 0.1, side - 0.1), (0.5, 1.12), Role.BODY)
    return b.build()


def _wheels(b: _Builder, xs: Sequence[float], y: float, side: float, radius: float) -> None:
    """Wheels with hubs on one side (y is -1 or 1) of a vehicle."""
    for x in xs:
        b.wheel(x, (y * (side - 0.3), y * side), radius)


def _box_truck() -> Mesh:
    width, length, height = KINDS[KIND_INDEX["box_truck"]].size_wlh_m
    nose, side = 0.5 * length, 0.5 * width
    b = _Builder()
    _cab(b, nose, side - 0.1, 0.55, 2.45, 1.75)
    b.box((-nose, nose - 1.95), (-side, side), (0.95, height), Role.WHITE)
    b.box((-nose + 0.3, nose - 1.9), (-side - 0.005, side + 0.005), (1.5, 1.9), Role.BODY)
    b.box((-nose + 0.2, nose - 0.4), (-0.55, 0.55), (0.5, 0.95), Role.TRIM)
    for y in (-1.0, 1.0):
        _wheels(b, (nose - 1.05, -nose + 1.6), y, side - 0.05, 0.46)
        b.box((-nose - 0.01, -nose + 0.1), (y * (side - 0.35), y * (side - 0.05)), (0.98, 1.12), Role.TAILLIGHT)
    return b.build()


def _cab(b: _Builder, nose: float, side: float, low: float, high: float, depth: float) -> None:
    """A truck's cab with windshield, side windows and lights."""
    belt = low + 0.48 * (high - low)
    b.frustum((nose - depth, nose, -side, side), (nose - depth, nose - 0.03, -side, side), (low, belt), Role.BODY)
    b.frustum(
        (nose - depth, nose - 0.03, -side, side),
        (nose - depth, nose - 0.22, -side + 0.08, side - 0.08),
        (belt, high),
        Role.BODY,
    )
    b.frustum(
        (nose - 0.2, nose - 0.01, -side + 0.12, side - 0.12),
        (nose - 0.4, nose - 0.17, -side + 0.18, side - 0.18),
        (belt + 0.05, high - 0.18),
        Role.GLASS,
    )
    for y in (-1.0, 1.0):
        b.frustum(
            (nose - 0.95, nose - 0.22, y * (side - 0.1), y * (side + 0.01)),
            (nose - 0.95, nose - 0.38, y * (side - 0.15), y * (side - 0.05)),
            (belt + 0.08, high - 0.22),
            Role.GLASS,
        )
        b.box(
            (nose - 0.1, nose + 0.01), (y * (side - 0.45), y * (side - 0.1)), (low + 0.15, low + 0.34), Role.HEADLIGHT
        )
    b.box((nose - 0.08, nose + 0.005), (-side + 0.5, side - 0.5), (low + 0.12, low + 0.5), Role.TRIM)


def _tractor() -> Mesh:
    width, length, height = KINDS[KIND_INDEX["tractor"]].size_wlh_m
    nose, side = 0.5 * length, 0.5 * width
    b = _Builder()
    _cab(b, nose, side - 0.02, 0.5, height, 2.2)
    b.box((-nose, nose - 2.1), (-0.6, 0.6), (0.6, 1.0), Role.TRIM)
    b.box((-nose, nose - 2.4), (-side + 0.1, side - 0.1), (0.85, 0.95), Role.TRIM)
    for y in (-1.0, 1.0):
        _wheels(b, (nose - 1.3, -nose + 0.75, -nose + 1.85), y, side, 0.5)
        b.box((-nose, -nose + 0.08), (y * (side - 0.5), y * (side - 0.15)), (0.75, 0.92), Role.TAILLIGHT)
    return b.build()


def _trailer() -> Mesh:
    width, length, height = KINDS[KIND_INDEX["trailer"]].size_wlh_m
    nose, side = 0.5 * length, 0.5 * width
    b = _Builder()
    b.box((-nose, nose), (-side, side), (1.05, height), Role.WHITE)
    b.box((-nose + 0.4, nose - 0.4), (-side - 0.006, side + 0.006), (2.2, 2.7), Role.BODY)
    b.box((-nose + 0.2, nose - 0.2), (-0.5, 0.5), (0.75, 1.05), Role.TRIM)
    b.box((-1.8, 1.9), (-side + 0.06, side - 0.06), (0.45, 1.05), Role.TRIM)
    for y in (-1.0, 1.0):
        _wheels(b, (-nose + 0.9, -nose + 2.05, -nose + 3.2), y, side, 0.5)
        b.box((nose - 2.2, nose - 2.0), (y * 0.7, y * 0.9), (0.0, 1.0), Role.METAL)
        b.box((-nose - 0.01, -nose + 0.1), (y * (side - 0.4), y * (side - 0.08)), (1.1, 1.28), Role.TAILLIGHT)
    return b.build()


def _bus() -> Mesh:
    width, length, height = KINDS[KIND_INDEX["bus"]].size_wlh_m
    nose, side = 0.5 * length, 0.5 * width
    b = _Builder()
    b.profile(
        [
            (nose, 0.35),
            (nose, 1.3),
            (nose - 0.25, height - 0.15),
            (nose - 0.5, height),
            (-nose + 0.15, height),
            (-nose, height - 0.2),
            (-nose, 0.35),
        ],
        (-side + 0.02, side - 0.02),
        Role.BODY,
    )
    b.frustum(
        (nose - 0.3, nose + 0.01, -side + 0.1, side - 0.1),
        (nose - 0.5, nose - 0.2, -side + 0.15, side - 0.15),
        (1.25, height - 0.5),
        Role.GLASS,
    )
    b.box((nose - 0.3, nose - 0.17), (-0.8, 0.8), (height - 0.42, height - 0.2), Role.AMBER)
    b.box((-nose - 0.005, -nose + 0.1), (-side + 0.4, side - 0.4), (1.7, height - 0.5), Role.GLASS)
    windows = np.linspace(-nose + 0.35, nose - 0.6, 8)
    for y in (-1.0, 1.0):
        for start, end in pairwise(windows):
            b.box((start + 0.05, end - 0.05), (y * (side - 0.1), y * side), (1.45, height - 0.6), Role.GLASS)
        b.box((-nose + 0.05, nose - 0.3), (y * (side - 0.1), y * (side - 0.006)), (0.95, 1.15), Role.WHITE)
        _wheels(b, (nose - 2.6, -nose + 2.9), y, side, 0.48)
        b.box((nose - 0.1, nose + 0.01), (y * (side - 0.5), y * (side - 0.1)), (0.6, 0.82), Role.HEADLIGHT)
        b.box((-nose - 0.01, -nose + 0.1), (y * (side - 0.35), y * (side - 0.1)), (0.7, 1.3), Role.TAILLIGHT)
    b.box((-3.0, 2.0), (-0.8, 0.8), (height - 0.01, height + 0.12), Role.WHITE)
    return b.build()


def _excavator() -> Mesh:
    b = _Builder()
    for y in (-1.0, 1.0):
        b.profile(
            [(-2.2, 0.35), (-1.9, 0.0), (1.3, 0.0), (1.6, 0.35), (1.4, 0.75), (-2.0, 0.75)],
            (y * 0.75, y * 1.3),
            Role.RUBBER,
        )
    b.box((-1.0, 0.6), (-0.8, 0.8), (0.4, 0.95), Role.TRIM)
    b.frustum((-2.5, 0.9, -1.2, 1.2), (-2.4, 0.8, -1.15, 1.15), (0.95, 1.75), Role.BODY)
    b.frustum((-0.6, 0.85, 0.25, 1.15), (-0.5, 0.6, 0.3, 1.1), (1.7, 2.95), Role.GLASS)
    b.box((-0.6, 0.7), (0.22, 1.18), (2.92, 3.05), Role.BODY)
    b.beam((0.6, -0.3, 1.5), (2.3, -0.3, 2.95), 0.42, Role.BODY)
    b.beam((2.2, -0.3, 3.0), (3.3, -0.3, 1.2), 0.34, Role.BODY)
    b.profile([(2.8, 0.45), (3.45, 0.35), (3.6, 1.1), (3.2, 1.3)], (-0.75, 0.15), Role.TRIM)
    return b.build()


def _loader() -> Mesh:
    b = _Builder()
    for y in (-1.0, 1.0):
        for x in (-1.7, 1.1):
            b.wheel(x, (y * 0.7, y * 1.22), 0.68, Role.BODY)
        b.beam((0.4, y * 0.5, 1.6), (2.3, y * 0.5, 0.6), 0.22, Role.BODY)
    b.frustum((-2.9, -0.6, -0.9, 0.9), (-2.8, -0.6, -0.8, 0.8), (0.75, 1.75), Role.BODY)
    b.box((-0.7, 1.3), (-0.6, 0.6), (0.7, 1.25), Role.BODY)
    b.frustum((-1.0, 0.5, -0.7, 0.7), (-0.9, 0.3, -0.6, 0.6), (1.25, 2.8), Role.GLASS)
    b.box((-1.05, 0.45), (-0.7, 0.7), (2.78, 2.95), Role.BODY)
    b.profile([(2.2, 0.2), (3.0, 0.1), (3.1, 0.35), (2.4, 1.05), (2.2, 1.0)], (-1.2, 1.2), Role.TRIM)
    return b.build()


def _ring(b: _Builder, x: float, radius: float, thickness: float, role: Role, sides: int = 12) -> None:
    """A bicycle wheel: a ring of bars."""
    angle = 2.0 * np.pi * np.arange(sides + 1) / sides
    rim = radius - 0.5 * thickness
    points = [(x + rim * np.cos(a), 0.0, radius + rim * np.sin(a)) for a in angle]
    for start, end in pairwise(points):
        b.beam(start, end, thickness, role)


def _bicycle(with_rider: bool) -> Mesh:
    b = _Builder()
    for x in (-0.52, 0.52):
        _ring(b, x, 0.34, 0.05, Role.RUBBER)
    for start, end in (
        ((-0.52, 0.34), (-0.15, 0.85)),
        ((-0.52, 0.34), (0.0, 0.32)),
        ((0.0, 0.32), (-0.17, 0.9)),
        ((0.0, 0.32), (0.38, 0.8)),
        ((-0.15, 0.82), (0.36, 0.85)),
        ((0.52, 0.34), (0.34, 1.0)),
    ):
        b.beam((start[0], 0.0, start[1]), (end[0], 0.0, end[1]), 0.05, Role.BODY)
    b.beam((0.33, -0.28, 1.02), (0.33, 0.28, 1.02), 0.045, Role.TRIM)
    b.box((-0.30, -0.04), (-0.08, 0.08), (0.88, 0.95), Role.TRIM)
    if with_rider:
        _rider(b, seat=(-0.16, 0.95), hands=(0.33, 1.04), feet=(0.02, 0.22), aside=0.13)
    return b.build()


def _motorcycle(with_rider: bool) -> Mesh:
    b = _Builder()
    for x in (-0.72, 0.72):
        for y in (-1.0, 1.0):
            b.wheel(x, (0.0, y * 0.08), 0.31)
    b.profile(
        [(-0.55, 0.45), (-0.45, 0.75), (0.35, 0.92), (0.5, 0.7), (0.3, 0.35), (-0.35, 0.3)], (-0.14, 0.14), Role.BODY
    )
    b.box((-0.30, 0.25), (-0.2, 0.2), (0.28, 0.55), Role.METAL)
    b.profile([(-0.95, 0.82), (-0.85, 0.88), (0.0, 0.8), (-0.1, 0.7), (-0.7, 0.7)], (-0.13, 0.13), Role.TRIM)
    b.beam((0.72, 0.0, 0.31), (0.46, 0.0, 0.98), 0.09, Role.METAL)
    b.beam((0.42, -0.38, 1.05), (0.42, 0.38, 1.05), 0.05, Role.TRIM)
    b.box((0.5, 0.62), (-0.1, 0.1), (0.78, 0.98), Role.HEADLIGHT)
    b.box((-1.0, -0.92), (-0.08, 0.08), (0.72, 0.8), Role.TAILLIGHT)
    b.frustum((0.36, 0.52, -0.14, 0.14), (0.3, 0.34, -0.1, 0.1), (0.98, 1.15), Role.GLASS)
    if with_rider:
        _rider(b, seat=(-0.25, 0.85), hands=(0.4, 1.05), feet=(0.05, 0.32), aside=0.2)
    return b.build()


def _rider(
    b: _Builder, seat: tuple[float, float], hands: tuple[float, float], feet: tuple[float, float], aside: float
) -> None:
    """A person on two wheels: points are (x, z)."""
    shoulder = (seat[0] + 0.22, seat[1] + 0.5)
    knee = (0.5 * (seat[0] + feet[0]) + 0.26, 0.5 * (seat[1] + feet[1]) + 0.14)
    b.frustum(
        (seat[0] - 0.13, seat[0] + 0.13, -0.16, 0.16),
        (shoulder[0] - 0.1, shoulder[0] + 0.12, -0.22, 0.22),
        (seat[1] - 0.04, shoulder[1]),
        Role.SECOND,
    )
    b.ball((shoulder[0] + 0.08, 0.0, shoulder[1] + 0.18), (0.14, 0.12, 0.17), Role.BODY)
    b.box((shoulder[0] + 0.12, shoulder[0] + 0.21), (-0.08, 0.08), (shoulder[1] + 0.06, shoulder[1] + 0.2), Role.SKIN)
    for y in (-1.0, 1.0):
        b.beam((seat[0], y * 0.1, seat[1]), (knee[0], y * aside, knee[1]), 0.15, Role.TRIM)
        b.beam((knee[0], y * aside, knee[1]), (feet[0], y * aside, feet[1]), 0.12, Role.TRIM)
        b.beam((shoulder[0], y * 0.22, shoulder[1] - 0.06), (hands[0], y * 0.25, hands[1]), 0.1, Role.SECOND)


STRIDES: Final = 4
"""Phases of a walking person's stride; a standing person is a phase of its own, the last."""

_SWING_M: Final = (0.30, 0.08, -0.30, -0.08)


def _person(swing: float, vest: bool) -> Mesh:
    """A figure in mid-stride: `swing` metres between its feet."""
    b = _Builder()
    for y in (-1.0, 1.0):
        step = 0.5 * swing * y
        b.beam((0.0, y * 0.1, 0.92), (0.7 * step + 0.03, y * 0.11, 0.48), 0.17, Role.SECOND)
        b.beam((0.7 * step + 0.03, y * 0.11, 0.5), (step, y * 0.11, 0.06), 0.14, Role.SECOND)
        b.box((step - 0.1, step + 0.17), (y * 0.05, y * 0.17), (0.0, 0.1), Role.TRIM)
        b.beam((0.0, y * 0.25, 1.42), (-0.5 * step, y * 0.29, 1.14), 0.11, Role.BODY)
        b.beam((-0.5 * step, y * 0.29, 1.15), (-0.9 * step + 0.08, y * 0.28, 0.88), 0.095, Role.SKIN)
    b.frustum((-0.12, 0.12, -0.17, 0.17), (-0.14, 0.14, -0.24, 0.24), (0.88, 1.46), Role.BODY)
    if vest:
        for z in (1.02, 1.2):
            b.frustum((-0.135, 0.135, -0.2, 0.2), (-0.14, 0.14, -0.21, 0.21), (z, z + 0.07), Role.HIGH_VISIBILITY)
    b.post(0.0, 0.0, (1.44, 1.54), (0.06, 0.06), Role.SKIN)
    b.ball((0.02, 0.0, 1.62), (0.105, 0.095, 0.13), Role.SKIN)
    b.ball((-0.015, 0.0, 1.675), (0.115, 0.105, 0.1), Role.AMBER if vest else Role.HAIR)
    # Arms and feet reach this far at full stride: keeps the figure the same at every phase of it.
    b.box((-0.25, -0.249), (-0.001, 0.001), (0.0, 0.001), Role.TRIM)
    b.box((0.32, 0.321), (-0.001, 0.001), (0.0, 0.001), Role.TRIM)
    return b.build()


def _sitter() -> Mesh:
    b = _Builder()
    b.box((-0.32, 0.12), (-0.34, 0.34), (0.40, 0.47), Role.WOOD)
    b.box((-0.34, -0.28), (-0.34, 0.34), (0.47, 0.85), Role.WOOD)
    for y in (-1.0, 1.0):
        b.box((-0.3, 0.08), (y * 0.3, y * 0.34), (0.0, 0.42), Role.METAL)
        b.beam((-0.14, y * 0.1, 0.54), (0.34, y * 0.11, 0.54), 0.16, Role.SECOND)
        b.beam((0.34, y * 0.11, 0.54), (0.34, y * 0.11, 0.06), 0.13, Role.SECOND)
        b.box((0.26, 0.5), (y * 0.05, y * 0.17), (0.0, 0.09), Role.TRIM)
        b.beam((-0.14, y * 0.24, 0.98), (0.12, y * 0.22, 0.66), 0.1, Role.BODY)
    b.frustum((-0.26, -0.02, -0.17, 0.17), (-0.26, -0.02, -0.23, 0.23), (0.47, 1.02), Role.BODY)
    b.ball((-0.12, 0.0, 1.16), (0.105, 0.095, 0.13), Role.SKIN)
    b.ball((-0.15, 0.0, 1.2), (0.115, 0.105, 0.1), Role.HAIR)
    return b.build()


def _cone() -> Mesh:
    b = _Builder()
    b.box((-0.2, 0.2), (-0.2, 0.2), (0.0, 0.05), Role.TRIM)
    for z, radii, role in (
        ((0.05, 0.3), (0.15, 0.115), Role.BODY),
        ((0.3, 0.46), (0.115, 0.09), Role.WHITE),
        ((0.46, 0.62), (0.09, 0.065), Role.BODY),
        ((0.62, 0.72), (0.065, 0.05), Role.WHITE),
        ((0.72, 0.85), (0.05, 0.03), Role.BODY),
    ):
        b.post(0.0, 0.0, z, radii, role, 10)
    return b.build()


def _barrier() -> Mesh:
    """A plastic barrier: long along y, in alternate colours."""
    b = _Builder()
    edges = np.linspace(-1.2, 1.2, 5)
    for index, (start, end) in enumerate(pairwise(edges)):
        role = Role.BODY if index % 2 == 0 else Role.WHITE
        for low, high, z in ((0.26, 0.22, (0.0, 0.22)), (0.22, 0.11, (0.22, 0.55)), (0.11, 0.08, (0.55, 0.98))):
            b.frustum((-low, low, start, end), (-high, high, start, end), z, role)
    return b.build()


def _bicycle_rack() -> Mesh:
    b = _Builder()
    for x in np.linspace(-3.2, 3.2, 9):
        b.beam((x, -0.5, 0.0), (x, -0.5, 1.2), 0.07, Role.METAL)
        b.beam((x, 0.5, 0.0), (x, 0.5, 1.2), 0.07, Role.METAL)
        b.beam((x, -0.5, 1.17), (x, 0.5, 1.17), 0.07, Role.METAL)
    for y in (-0.95, 0.95):
        b.beam((-3.25, y, 0.03), (3.25, y, 0.03), 0.07, Role.METAL)
    return b.build()


def _building() -> Mesh:
    b = _Builder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 0.96), Role.FACADE)
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.96, 0.975), Role.ROOF)
    b.box((-0.3, 0.1), (-0.2, 0.2), (0.97, 1.0), Role.ROOF)
    return b.build()


def _house() -> Mesh:
    """A house under a gabled roof whose ridge runs along x."""
    b = _Builder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 0.68), Role.FACADE)
    ridge = np.array(
        [[-0.5, -0.5, 0.68], [0.5, -0.5, 0.68], [0.5, 0.5, 0.68], [-0.5, 0.5, 0.68], [-0.5, 0.0, 1.0], [0.5, 0.0, 1.0]]
    )
    b.solid(ridge, [(0, 1, 5, 4), (2, 3, 4, 5), (0, 4, 3), (1, 2, 5)], Role.ROOF)
    return b.build()


def _tree() -> Mesh:
    b = _Builder()
    b.post(0.0, 0.0, (0.0, 2.6), (0.16, 0.11), Role.WOOD)
    b.ball((0.0, 0.0, 4.0), (1.7, 1.65, 1.7), Role.LEAVES, 9)
    b.ball((0.7, 0.5, 4.7), (1.2, 1.25, 1.1), Role.LEAVES, 8)
    b.ball((-0.6, -0.5, 5.0), (1.2, 1.2, 1.1), Role.LEAVES, 8)
    return b.build()


def _lamp_post() -> Mesh:
    """A street lamp that leans over the street on its right."""
    b = _Builder()
    b.post(0.0, 0.9, (0.0, 6.6), (0.09, 0.06), Role.METAL)
    b.beam((0.0, 0.9, 6.6), (0.0, -0.7, 6.95), 0.09, Role.METAL)
    b.box((-0.12, 0.12), (-0.98, -0.45), (6.88, 7.0), Role.LAMP)
    return b.build()


def _signal(lit: Role) -> Mesh:
    """A traffic light on a mast, shown to those who come from behind it: its face looks along -x."""
    b = _Builder()
    b.post(0.0, 0.0, (0.0, 3.0), (0.07, 0.06), Role.METAL)
    b.box((-0.15, 0.12), (-0.19, 0.19), (2.55, 3.55), Role.TRIM)
    for role, z in ((Role.RED, 3.36), (Role.AMBER, 3.05), (Role.GREEN, 2.74)):
        b.box((-0.17, -0.1), (-0.11, 0.11), (z - 0.11, z + 0.11), role if role is lit else Role.RUBBER)
    return b.build()


def _ground_cell() -> Mesh:
    """A level square."""
    corners = np.array([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), np.full(2, int(Role.GROUND)))


_BUILDERS: Final[dict[str, Callable[[], Mesh]]] = {
    **{name: partial(_car, name) for name in _CAR_SHAPES},
    "pickup": _pickup,
    "box_truck": _box_truck,
    "bus": _bus,
    "trailer": _trailer,
    "tractor": _tractor,
    "excavator": _excavator,
    "loader": _loader,
    "motorcycle": partial(_motorcycle, with_rider=False),
    "motorcyclist": partial(_motorcycle, with_rider=True),
    "bicycle": partial(_bicycle, with_rider=False),
    "cyclist": partial(_bicycle, with_rider=True),
    **{
        f"{name}{phase}": partial(_person, swing, vest=name == "worker")
        for name in ("adult", "worker")
        for phase, swing in enumerate((*_SWING_M, 0.0))
    },
    "sitter": _sitter,
    "cone": _cone,
    "barrier": _barrier,
    "bicycle_rack": _bicycle_rack,
    "building": _building,
    "house": _house,
    "tree": _tree,
    "lamp_post": _lamp_post,
    "signal_red": partial(_signal, Role.RED),
    "signal_yellow": partial(_signal, Role.AMBER),
    "signal_green": partial(_signal, Role.GREEN),
    "ground_cell": _ground_cell,
}

MESH_INDEX: Final = {name: index for index, name in enumerate(_BUILDERS)}


@dataclass(frozen=True, eq=False)
class MeshLibrary:
    """All meshes in common arrays: mesh i has the triangles `starts[i]:starts[i + 1]`."""

    vertices: FloatArray
    triangles: NDArray[np.int64]
    roles: NDArray[np.int64]
    starts: NDArray[np.int64]


@cache
def mesh_library() -> MeshLibrary:
    """The meshes of `MESH_INDEX`, in that order."""
    meshes = [build() for build in _BUILDERS.values()]
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return MeshLibrary(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        triangles=np.concatenate([m.triangles + o for m, o in zip(meshes, offsets[:-1], strict=True)]),
        roles=np.concatenate([mesh.roles for mesh in meshes]),
        starts=np.cumsum([0, *(len(mesh.triangles) for mesh in meshes)]),
    )


_PEOPLE: Final = {"adult": "adult", "child": "adult", "officer": "adult", "worker": "worker"}
_STRIDE_M: Final = 0.36
"""How far somebody walks between two phases of the stride."""


def mesh_of(kind: str, odometer_m: float, moving: bool) -> int:
    """Index of the mesh that shows an actor; people change it as they walk."""
    if kind not in _PEOPLE:
        return MESH_INDEX[kind]
    phase = int(odometer_m / _STRIDE_M) % STRIDES if moving else STRIDES
    return MESH_INDEX[f"{_PEOPLE[kind]}{phase}"]
