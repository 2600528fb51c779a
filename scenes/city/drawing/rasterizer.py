"""Draws meshes into a depth buffer: for each pixel the nearest face, and for each instance what it covers alone.

Pixels are addressed by their centres: pixel (column c, row r) is the image point (c + 0.5, r + 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenes.city.drawing.meshes import MeshLibrary
from scenes.city.layout.terrain import FLAT, Terrain, height_at, lifted
from scenes.compiled import compiled
from scenes.geometry import FloatArray

NEAR_M: Final = 0.15
"""Faces are cut off this close to the camera."""

NO_FACE: Final = -1


@dataclass(frozen=True, eq=False)
class Instances:
    """N meshes placed in a flat world.

    Attributes:
        mesh: (N,) indices into the library.
        center_m: (N, 3) global centres of the boxes that the meshes fill, heights above the ground.
        yaw_rad: (N,).
        size_lwh_m: (N, 3) length, width, height.
        color, second_color: (N, 3) RGB of the faces with the roles BODY and SECOND.
    """

    mesh: NDArray[np.int64]
    center_m: FloatArray
    yaw_rad: FloatArray
    size_lwh_m: FloatArray
    color: FloatArray
    second_color: FloatArray

    def __len__(self) -> int:
        return len(self.mesh)

    def select(self, which: NDArray[np.bool_]) -> Instances:
        """The instances that a mask picks."""
        return Instances(
            self.mesh[which],
            self.center_m[which],
            self.yaw_rad[which],
            self.size_lwh_m[which],
            self.color[which],
            self.second_color[which],
        )

    @classmethod
    def concatenate(cls, parts: list[Instances]) -> Instances:
        """All instances of `parts`, in order."""
        return cls(
            np.concatenate([part.mesh for part in parts]),
            np.concatenate([part.center_m for part in parts]),
            np.concatenate([part.yaw_rad for part in parts]),
            np.concatenate([part.size_lwh_m for part in parts]),
            np.concatenate([part.color for part in parts]),
            np.concatenate([part.second_color for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera in the world.

    Attributes:
        camera_from_global: (4, 4).
        intrinsic: (3, 3), pixels.
        width_px, height_px: image size.
    """

    camera_from_global: FloatArray
    intrinsic: FloatArray
    width_px: int
    height_px: int

    def scaled(self, factor: float) -> View:
        """The same camera with another number of pixels."""
        intrinsic = self.intrinsic * np.array([[factor], [factor], [1.0]])
        return View(self.camera_from_global, intrinsic, round(self.width_px * factor), round(self.height_px * factor))


@dataclass(frozen=True, eq=False)
class FaceBuffer:
    """What a camera sees.

    Attributes:
        inverse_depth: (H, W) 1 / depth in 1/m, 0 where there is no face.
        face: (H, W) index into the drawn faces, `NO_FACE` without one.
        face_instance: (F,) instance of each drawn face.
        face_triangle: (F,) triangle in the library.
        face_normal: (F, 3) outward global unit normal.
        covered: (N,) pixels that each instance covers if nothing hides it; zeros unless they were counted.
    """

    inverse_depth: NDArray[np.float32]
    face: NDArray[np.int32]
    face_instance: NDArray[np.int64]
    face_triangle: NDArray[np.int64]
    face_normal: FloatArray
    covered: NDArray[np.int64]

    def instance_map(self) -> NDArray[np.int64]:
        """(H, W) index of the instance seen in each pixel, `NO_FACE` where there is none."""
        if not len(self.face_instance):
            return np.full(self.face.shape, NO_FACE, dtype=np.int64)
        return np.where(self.face >= 0, self.face_instance[self.face], NO_FACE)


class Canvas(NamedTuple):
    """Memory to draw into, (H, W) each; see `FaceBuffer`."""

    inverse_depth: NDArray[np.float32]
    face: NDArray[np.int32]

    @classmethod
    def of_size(cls, width_px: int, height_px: int) -> Canvas:
        """A canvas for views of a size."""
        shape = (height_px, width_px)
        return cls(np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int32))


def rasterize(
    instances: Instances,
    library: MeshLibrary,
    view: View,
    terrain: Terrain = FLAT,
    count_covered: bool = False,
    canvas: Canvas | None = None,
) -> FaceBuffer:
    """Draw instances as seen by a camera.

    Args:
        instances: what to draw.
        library: the meshes.
        view: the camera.
        terrain: lifts each corner of a mesh.
        count_covered: whether to count the pixels that each instance covers by itself.
        canvas: of the view's size, to which the result then refers; None for a new one.
    """
    inverse_depth, face = canvas or Canvas.of_size(view.width_px, view.height_px)
    inverse_depth.fill(0.0)
    face.fill(NO_FACE)
    center = lifted(instances.center_m, terrain)
    in_view = _in_view(
        center, instances.size_lwh_m, view.camera_from_global, view.intrinsic, view.width_px, view.height_px
    )
    chosen = np.flatnonzero(in_view)
    # The nearest first: of what comes after, less is drawn.
    chosen = chosen[np.argsort(center[chosen] @ view.camera_from_global[2, :3], kind="stable")]
    corners, face_instance, face_triangle, normals = _place_faces(
        chosen,
        instances.mesh,
        instances.center_m,
        instances.yaw_rad,
        instances.size_lwh_m,
        library.vertices,
        library.triangles,
        library.starts,
        view.camera_from_global,
        terrain,
    )
    covered = np.zeros(len(instances), dtype=np.int64)
    stamp = np.full(face.shape if count_covered else (0, 0), -1, dtype=np.int32)
    _draw_faces(corners, face_instance, view.intrinsic, _Layers(inverse_depth, face, stamp, covered))
    return FaceBuffer(inverse_depth, face, face_instance, face_triangle, normals, covered)


@compiled(error_model="numpy")
def _in_view(
    center: FloatArray,
    size: FloatArray,
    camera_from_global: FloatArray,
    intrinsic: FloatArray,
    width_px: int,
    height_px: int,
) -> NDArray[np.bool_]:
    """(N,) whether the sphere around each box (N, 3), (N, 3) may touch the image."""
    pose = camera_from_global
    cx, cy = intrinsic[0, 2], intrinsic[1, 2]
    # Normals of the left, right, upper and lower border, which all pass through the camera.
    x_slope = (intrinsic[0, 0], -intrinsic[0, 0], 0.0, 0.0)
    y_slope = (0.0, 0.0, intrinsic[1, 1], -intrinsic[1, 1])
    z_slope = (cx, width_px - cx, cy, height_px - cy)
    visible = np.empty(len(center), dtype=np.bool_)
    for i in range(len(center)):
        gx, gy, gz = center[i]
        x = pose[0, 0] * gx + pose[0, 1] * gy + pose[0, 2] * gz + pose[0, 3]
        y = pose[1, 0] * gx + pose[1, 1] * gy + pose[1, 2] * gz + pose[1, 3]
        z = pose[2, 0] * gx + pose[2, 1] * gy + pose[2, 2] * gz + pose[2, 3]
        radius = 0.5 * np.sqrt(size[i, 0] ** 2 + size[i, 1] ** 2 + size[i, 2] ** 2)
        inside = z + radius > NEAR_M
        for k in range(4):
            length = np.sqrt(x_slope[k] ** 2 + y_slope[k] ** 2 + z_slope[k] ** 2)
            inside = inside and x_slope[k] * x + y_slope[k] * y + z_slope[k] * z > -radius * length
        visible[i] = inside
    return visible


@compiled(error_model="numpy")
def _place_faces(
    chosen: NDArray[np.int64],
    mesh: NDArray[np.int64],
    center: FloatArray,
    yaw: FloatArray,
    size: FloatArray,
    vertices: FloatArray,
    triangles: NDArray[np.int64],
    starts: NDArray[np.int64],
    camera_from_global: FloatArray,
    terrain: Terrain,
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Faces that look at the camera: corners (F, 3, 3) in camera coordinates, instance, triangle, global normal."""
    total = 0
    for i in chosen:
        total += starts[mesh[i] + 1] - starts[mesh[i]]
    corners = np.empty((total, 3, 3))
    face_instance = np.empty(total, dtype=np.int64)
    face_triangle = np.empty(total, dtype=np.int64)
    normals = np.empty((total, 3))
    turn = np.ascontiguousarray(camera_from_global[:3, :3])
    shift = np.ascontiguousarray(camera_from_global[:3, 3])
    eye = -np.dot(np.ascontiguousarray(turn.T), shift)
    world = np.empty((3, 3))
    count = 0
    for i in chosen:
        cos_yaw, sin_yaw = np.cos(yaw[i]), np.sin(yaw[i])
        for t in range(starts[mesh[i]], starts[mesh[i] + 1]):
            for k in range(3):
                v = triangles[t, k]
                x, y = vertices[v, 0] * size[i, 0], vertices[v, 1] * size[i, 1]
                world[k, 0] = center[i, 0] + cos_yaw * x - sin_yaw * y
                world[k, 1] = center[i, 1] + sin_yaw * x + cos_yaw * y
                lift = height_at(terrain, world[k, 0], world[k, 1])
                world[k, 2] = center[i, 2] + vertices[v, 2] * size[i, 2] + lift
            nx, ny, nz = _normal(world)
            facing = nx * (eye[0] - world[0, 0]) + ny * (eye[1] - world[0, 1]) + nz * (eye[2] - world[0, 2])
            if facing <= 0.0:
                continue
            normals[count, 0], normals[count, 1], normals[count, 2] = nx, ny, nz
            for k in range(3):
                for axis in range(3):
                    corners[count, k, axis] = (
                        turn[axis, 0] * world[k, 0]
                        + turn[axis, 1] * world[k, 1]
                        + turn[axis, 2] * world[k, 2]
                        + shift[axis]
                    )
            face_instance[count] = i
            face_triangle[count] = t
            count += 1
    return corners[:count], face_instance[:count], face_triangle[:count], normals[:count]


@compiled(error_model="numpy")
def _normal(corners: FloatArray) -> tuple[float, float, float]:
    """Unit normal of a triangle (3, 3), zero if it has no area."""
    ax, ay, az = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2]
    bx, by, bz = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2]
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-12)
    return nx / length, ny / length, nz / length


class _Layers(NamedTuple):
    """What faces are drawn into; `stamp` (0, 0) when covered pixels are not counted."""

    inverse_depth: NDArray[np.float32]
    face: NDArray[np.int32]
    stamp: NDArray[np.int32]
    covered: NDArray[np.int64]


@compiled(error_model="numpy")
def _draw_faces(corners: FloatArray, face_instance: NDArray[np.int64], intrinsic: FloatArray, canvas: _Layers) -> None:
    """Clip each face at the near plane, project it, and draw what is nearer than what is there."""
    clipped = np.empty((4, 3))
    for face in range(len(corners)):
        count = _clip_near(corners[face], clipped)
        for k in range(count):
            inverse = 1.0 / clipped[k, 2]
            clipped[k, 0] = intrinsic[0, 0] * clipped[k, 0] * inverse + intrinsic[0, 2] - 0.5
            clipped[k, 1] = intrinsic[1, 1] * clipped[k, 1] * inverse + intrinsic[1, 2] - 0.5
            clipped[k, 2] = inverse
        for last in range(2, count):
            if _may_meet_pixels(clipped, last, canvas.face.shape):
                _draw_triangle(clipped, last, face, face_instance[face], canvas)


@compiled(error_model="numpy", inline="always")
def _may_meet_pixels(corners: FloatArray, last: int, shape: tuple[int, ...]) -> bool:
    """Whether the triangle of the first, the last and the corner before it may cover the middle of a pixel."""
    for axis in range(2):
        a, b, c = corners[0, axis], corners[last - 1, axis], corners[last, axis]
        if np.ceil(max(min(a, b, c), 0.0)) > min(max(a, b, c), shape[1 - axis] - 1.0):
            return False
    return True


@compiled(error_model="numpy")
def _clip_near(triangle: FloatArray, clipped: FloatArray) -> int:
    """Write the corners of the part of a triangle beyond the near plane; returns how many there are."""
    if min(triangle[0, 2], triangle[1, 2], triangle[2, 2]) >= NEAR_M:
        for k in range(3):
            for axis in range(3):
                clipped[k, axis] = triangle[k, axis]
        return 3
    count = 0
    for k in range(3):
        a, b = triangle[k], triangle[(k + 1) % 3]
        if a[2] >= NEAR_M:
            clipped[count] = a
            count += 1
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            share = (NEAR_M - a[2]) / (b[2] - a[2])
            clipped[count] = a + share * (b - a)
            count += 1
    return count


@compiled(error_model="numpy")
def _draw_triangle(corners: FloatArray, last_corner: int, face: int, instance: int, canvas: _Layers) -> None:
    """Draw the triangle of the first, the last and the corner before it (column, row, 1 / depth).

    1 / depth is linear in the image.
    """
    height, width = canvas.face.shape
    ax, ay, az = corners[0, 0], corners[0, 1], corners[0, 2]
    bx, by, bz = corners[last_corner - 1, 0], corners[last_corner - 1, 1], corners[last_corner - 1, 2]
    cx, cy, cz = corners[last_corner, 0], corners[last_corner, 1], corners[last_corner, 2]
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if abs(area) < 1e-9:
        return
    per_column = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area
    per_row = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area
    base = az - per_column * ax - per_row * ay
    # Columns that an edge moves on by with each row; a level edge meets no row between its ends.
    ab, bc, ca = (bx - ax) / (by - ay), (cx - bx) / (cy - by), (ax - cx) / (ay - cy)
    first_row = int(max(np.ceil(min(ay, by, cy)), 0.0))
    last_row = int(min(np.floor(max(ay, by, cy)), height - 1.0))
    for row in range(first_row, last_row + 1):
        low, high = np.inf, -np.inf
        if (ay <= row) != (by <= row):
            low = high = ax + (row - ay) * ab
        if (by <= row) != (cy <= row):
            column = bx + (row - by) * bc
            low, high = min(low, column), max(high, column)
        if (cy <= row) != (ay <= row):
            column = cx + (row - cy) * ca
            low, high = min(low, column), max(high, column)
        if low > high:
            continue
        first, last = int(max(np.ceil(low), 0.0)), int(min(np.ceil(high) - 1.0, width - 1.0))
        _draw_span(canvas, row, first, last, base + per_row * row + per_column * first, per_column, face)
        if canvas.stamp.size > 0:
            _count_covered(canvas, row, first, last, instance)


@compiled(error_model="numpy", inline="always")
def _draw_span(canvas: _Layers, row: int, first: int, last: int, value: float, per_column: float, face: int) -> None:
    """Draw a face where it is nearer than what is there, in a row, from a first to a last column.

    Args:
        value: 1 / depth in the first column.
        per_column: how much it changes with each.
    """
    start, step = np.float32(value), np.float32(per_column)
    column = first
    while column + _LANES <= last + 1:  # so many at once, for the compiler to make vectors of
        for lane in range(_LANES):
            nearer = start + step * np.float32(column + lane - first)
            if nearer > canvas.inverse_depth[row, column + lane]:
                canvas.inverse_depth[row, column + lane] = nearer
                canvas.face[row, column + lane] = face
        column += _LANES
    while column <= last:
        nearer = start + step * np.float32(column - first)
        if nearer > canvas.inverse_depth[row, column]:
            canvas.inverse_depth[row, column] = nearer
            canvas.face[row, column] = face
        column += 1


_LANES: Final = 16


@compiled(error_model="numpy")
def _count_covered(canvas: _Layers, row: int, first: int, last: int, instance: int) -> None:
    """Count the pixels of a span that the instance, all of whose faces come in a row, has not covered yet."""
    for column in range(first, last + 1):
        if canvas.stamp[row, column] != instance:
            canvas.stamp[row, column] = instance
            canvas.covered[instance] += 1
