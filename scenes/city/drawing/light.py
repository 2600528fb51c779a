"""The light of a scene, and the colours that faces and the ground have in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenes.city.drawing.ground import Surface
from scenes.city.drawing.meshes import Role
from scenes.city.drawing.rasterizer import Instances
from scenes.compiled import compiled
from scenes.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class Light:
    """The light of a scene. Colours are RGB; intensities multiply surface colours.

    Attributes:
        sun_direction: (3,) unit vector towards the sun.
        sun, ambient: (3,) intensities.
        zenith, horizon, glow: (3,) colours of the sky above, at the horizon, and around the sun.
        lamps_on: whether lights and windows shine.
        shadow: what is left of the light in a shadow on the ground.
        haze_m: distance at which half of what is seen is haze.
    """

    sun_direction: FloatArray
    sun: FloatArray
    ambient: FloatArray
    zenith: FloatArray
    horizon: FloatArray
    glow: FloatArray
    lamps_on: bool
    shadow: float
    haze_m: float = 420.0


def draw_light(rng: np.random.Generator, dusk: bool, most_overcast: float = 0.6) -> Light:
    """The light of a day, clear or overcast up to a share in [0, 1], or of a dusk."""
    azimuth = rng.uniform(0.0, 2.0 * np.pi)
    elevation = np.radians(rng.uniform(4.0, 9.0) if dusk else rng.uniform(32.0, 58.0))
    direction = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    if dusk:
        return Light(
            sun_direction=direction,
            sun=np.array([0.34, 0.22, 0.14]),
            ambient=np.array([0.36, 0.37, 0.47]),
            zenith=np.array([44.0, 58.0, 104.0]),
            horizon=np.array([216.0, 150.0, 118.0]),
            glow=np.array([255.0, 176.0, 96.0]),
            lamps_on=True,
            shadow=0.86,
        )
    overcast = rng.uniform(0.0, most_overcast)
    return Light(
        sun_direction=direction,
        sun=np.array([0.62, 0.59, 0.52]) * (1.0 - 0.6 * overcast),
        ambient=np.array([0.52, 0.55, 0.60]) * (1.0 + 0.2 * overcast),
        zenith=np.array([86.0, 138.0, 208.0]) * (1.0 - overcast) + np.array([150.0, 162.0, 178.0]) * overcast,
        horizon=np.array([206.0, 220.0, 234.0]) * (1.0 - overcast) + np.array([206.0, 210.0, 214.0]) * overcast,
        glow=np.array([255.0, 250.0, 232.0]),
        lamps_on=False,
        shadow=0.58 + 0.3 * overcast,
    )


_ROLE_COLORS: Final = {
    Role.GLASS: (48, 58, 70),
    Role.RUBBER: (34, 34, 36),
    Role.TRIM: (50, 51, 54),
    Role.METAL: (142, 146, 152),
    Role.HEADLIGHT: (232, 234, 236),
    Role.TAILLIGHT: (158, 22, 24),
    Role.SKIN: (206, 160, 130),
    Role.HAIR: (62, 46, 36),
    Role.WHITE: (230, 230, 228),
    Role.WOOD: (110, 84, 58),
    Role.ROOF: (116, 98, 92),
    Role.LAMP: (226, 222, 206),
    Role.HIGH_VISIBILITY: (226, 240, 60),
    Role.RED: (255, 40, 34),
    Role.AMBER: (255, 176, 40),
    Role.GREEN: (40, 235, 120),
}
_OF_ROLE, _OWN, _SECOND, _GLASS = range(4)
_COLOR_SOURCES: Final = np.array(
    [
        {Role.BODY: _OWN, Role.LEAVES: _OWN, Role.FACADE: _OWN, Role.SECOND: _SECOND, Role.GLASS: _GLASS}.get(
            role, _OF_ROLE
        )
        for role in Role
    ]
)
_ALWAYS_LIT: Final = (Role.RED, Role.AMBER, Role.GREEN)
_LIT_AT_DUSK: Final = {
    Role.HEADLIGHT: (255, 250, 224),
    Role.TAILLIGHT: (255, 44, 34),
    Role.LAMP: (255, 226, 164),
}
_SURFACE_COLORS: Final = {
    Surface.ASPHALT: (98, 99, 102),
    Surface.KERB: (150, 149, 146),
    Surface.SIDEWALK: (172, 168, 160),
    Surface.GRASS: (108, 128, 74),
    Surface.PAVING: (158, 148, 136),
    Surface.WHITE: (226, 226, 222),
    Surface.YELLOW: (214, 172, 60),
    Surface.BIKE_LANE: (92, 122, 104),
}
_SURFACES: Final = np.array([_SURFACE_COLORS[surface] for surface in Surface], dtype=np.float64)
_ROLES: Final = np.array([_ROLE_COLORS.get(role, (0, 0, 0)) for role in Role], dtype=np.float64)


def ground_colors(light: Light) -> FloatArray:
    """(surfaces, 3) RGB of what the ground may be covered with."""
    lit: FloatArray = _SURFACES * (light.ambient + light.sun * light.sun_direction[2])
    return lit


def lit_colors(
    instances: Instances,
    face_instance: NDArray[np.int64],
    roles: NDArray[np.int64],
    normals: FloatArray,
    light: Light,
) -> FloatArray:
    """(F, 3) RGB of each face in the light."""
    shining = {role: _ROLE_COLORS[role] for role in _ALWAYS_LIT} | (_LIT_AT_DUSK if light.lamps_on else {})
    shine = np.full((len(Role), 3), np.nan)
    for role, rgb in shining.items():
        shine[role] = rgb
    of_faces = _FaceColors(_ROLES, _COLOR_SOURCES, instances.color, instances.second_color, shine)
    color = np.empty((len(roles), 3))
    in_light = _LightOnFaces(light.sun_direction, light.sun, light.ambient, light.horizon)
    _light_faces(color, roles, face_instance, normals, of_faces, in_light)
    return color


class _FaceColors(NamedTuple):
    """Where faces have their colours from.

    Attributes:
        of_role: (roles, 3) RGB.
        source: (roles,) whether that is taken, or a colour of the instance, `_OWN` or `_SECOND`; `_GLASS` mirrors.
        own, second: (N, 3) RGB of the instances.
        shine: (roles, 3) RGB of what shines by itself, NaN for others.
    """

    of_role: FloatArray
    source: NDArray[np.int64]
    own: FloatArray
    second: FloatArray
    shine: FloatArray


class _LightOnFaces(NamedTuple):
    """See `Light`."""

    sun_direction: FloatArray
    sun: FloatArray
    ambient: FloatArray
    horizon: FloatArray


@compiled(error_model="numpy")
def _light_faces(
    color: FloatArray,
    roles: NDArray[np.int64],
    face_instance: NDArray[np.int64],
    normals: FloatArray,
    faces: _FaceColors,
    light: _LightOnFaces,
) -> None:
    """Write the RGB (F, 3) of each face."""
    sun_x, sun_y, sun_z = light.sun_direction
    for face in range(len(roles)):
        role, up = roles[face], normals[face, 2]
        source = faces.source[role]
        toward_sun = max(normals[face, 0] * sun_x + normals[face, 1] * sun_y + up * sun_z, 0.0)
        from_sky = 0.78 + 0.22 * up
        mirrored = min(max(0.25 + 0.5 * up, 0.08), 0.7) if source == _GLASS else 0.0
        for channel in range(3):
            albedo = faces.of_role[role, channel]
            if source == _OWN:
                albedo = faces.own[face_instance[face], channel]
            elif source == _SECOND:
                albedo = faces.second[face_instance[face], channel]
            lit = albedo * (light.ambient[channel] * from_sky + light.sun[channel] * toward_sun)
            lit = (1.0 - mirrored) * lit + mirrored * light.horizon[channel] * 0.8
            shine = faces.shine[role, channel]
            color[face, channel] = min(max(lit if np.isnan(shine) else shine, 0.0), 255.0)
