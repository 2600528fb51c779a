"""Tables as large as those of nuScenes' `v1.0-trainval`, sweeps included, made from a seed.

850 scenes with nuScenes' names, so that the official splits hold what they hold there: 34,149 key frames, 6,019 of them
in `val`; twelve sensors at their rates, which gives 2.6 million rows of `sample_data` and as many poses; 1.17 million
annotations. Laid out as published: a key a line, without indentation. No image exists. The vehicle drives along arcs,
and boxes stand and move around it: enough to time what reads, evaluates and draws, and for nothing else.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.classes import ATTRIBUTES, BIKE_RACK_CATEGORY, CLASS_OF_CATEGORY
from scenes.files import atomic_paths
from scenes.geometry import FloatArray, rotation_from_yaw
from scenes.jobs.executors import run_jobs
from scenes.jobs.processes import available_cores
from scenes.new_rows import Row, attribute_rows, token_of, visibility_rows
from scenes.splits import official_splits

VERSION: Final = "v1.0-trainval"

IntArray = NDArray[np.int64]

_CAMERAS: Final = tuple(
    f"CAM_{side}" for side in ("FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT")
)
_RADARS: Final = tuple(f"RADAR_{side}" for side in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT", "BACK_RIGHT"))
_CHANNELS: Final = (*_CAMERAS, "LIDAR_TOP", *_RADARS)
_MODALITIES: Final = {"CAM": "camera", "LIDAR": "lidar", "RADAR": "radar"}
_SWEEPS_BETWEEN_KEY_FRAMES: Final = {"CAM": 5, "LIDAR": 9, "RADAR": 5.5}
_SUFFIXES: Final = {"CAM": ("jpg", "jpg"), "LIDAR": ("pcd", "pcd.bin"), "RADAR": ("pcd", "pcd")}

_FRAMES: Final = 40
_LONG_SCENES: Final = {"train": 130, "val": 19}
"""How many scenes of a split have 41 key frames."""

_INSTANCES: Final = 76
_MEAN_LENGTH: Final = 18.0
_CATEGORIES: Final = (*CLASS_OF_CATEGORY, BIKE_RACK_CATEGORY, "animal")
_PERIOD_US: Final = 500_000
_LOGS: Final = 68
_LOCATIONS: Final = ("boston-seaport", "singapore-onenorth", "singapore-queenstown", "singapore-hollandvillage")

_GROWING: Final = ("sample", "sample_data", "ego_pose", "sample_annotation", "instance")
"""The tables that each scene adds rows to."""


@dataclass(frozen=True)
class MadeTables:
    """What was written: rows by table, and bytes of all tables."""

    rows: dict[str, int]
    bytes: int


def make_full_size_tables(
    dataroot: Path,
    seed: int = 0,
    *,
    share: float = 1.0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MadeTables:
    """Write the tables to `<dataroot>/v1.0-trainval`, all or none.

    Args:
        dataroot: made if it is not there.
        seed: the same seed gives the same bytes.
        share: how many of each split's scenes are made, at least one of each; 1 for all 850.
        workers: processes; None for one a core.
        progress: called with the number of scenes that are done and of all.
    """
    jobs = _scene_jobs(share, seed)
    folder = dataroot / VERSION
    fixed = _fixed_tables(jobs, seed)
    maps = [dataroot / row["filename"] for row in fixed["map"]]
    paths = [folder / f"{name}.json" for name in (*fixed, *_GROWING)] + maps
    counts = {name: len(rows) for name, rows in fixed.items()} | dict.fromkeys(_GROWING, 0)
    with atomic_paths(paths) as temporaries:
        for temporary, rows in zip(temporaries, fixed.values(), strict=False):
            temporary.write_text(json.dumps(rows, indent=0))
        for temporary in temporaries[len(paths) - len(maps) :]:
            temporary.write_bytes(_white_pixel())
        growing = temporaries[len(fixed) : len(fixed) + len(_GROWING)]
        files = dict(zip(_GROWING, [path.open("wb") for path in growing], strict=True))
        made = run_jobs(partial(_rows_of_scene, seed=seed), [(job,) for job in jobs], workers or available_cores())
        for done, parts in enumerate(made, start=1):
            for name, (n_rows, text) in parts.items():
                files[name].write((b",\n" if counts[name] else b"[\n") + text)
                counts[name] += n_rows
            if progress:
                progress(done, len(jobs))
        for file in files.values():
            file.write(b"\n]")
            file.close()
    return MadeTables(counts, sum((folder / f"{name}.json").stat().st_size for name in counts))


@dataclass(frozen=True)
class _SceneJob:
    name: str
    frames: int
    start_us: int
    log: int

    @property
    def log_name(self) -> str:
        return f"n{self.log:03}-2018-07-24-11-22-45+0800"


def _scene_jobs(share: float, seed: int) -> list[_SceneJob]:
    rng = np.random.default_rng([seed, 0])
    jobs = []
    for split, long_scenes in _LONG_SCENES.items():
        names = official_splits()[split]
        is_long = rng.permutation(len(names)) < long_scenes
        chosen = list(zip(names, is_long, strict=True))[: max(1, round(share * len(names)))]
        jobs += [(name, _FRAMES + bool(one_more)) for name, one_more in chosen]
    jobs.sort()
    return [
        _SceneJob(name, frames, 1_532_402_927_612_460 + 60_000_000 * index, index * _LOGS // len(jobs))
        for index, (name, frames) in enumerate(jobs)
    ]


def _fixed_tables(jobs: Sequence[_SceneJob], seed: int) -> dict[str, list[Row]]:
    logs = [
        {
            "token": token_of(seed, "log", number),
            "logfile": f"n{number:03}",
            "vehicle": f"n{number:03}",
            "date_captured": "2018-07-24",
            "location": _LOCATIONS[number % len(_LOCATIONS)],
        }
        for number in range(_LOGS)
    ]
    return {
        "log": logs,
        "map": [
            {
                "category": "semantic_prior",
                "token": token_of(seed, "map", location),
                "filename": f"maps/{token_of(seed, 'map', location)}.png",
                "log_tokens": [row["token"] for row in logs if row["location"] == location],
            }
            for location in _LOCATIONS
        ],
        "scene": [
            {
                "token": token_of(seed, "scene", job.name),
                "log_token": logs[job.log]["token"],
                "nbr_samples": job.frames,
                "first_sample_token": _Tokens(seed, job).samples[0],
                "last_sample_token": _Tokens(seed, job).samples[-1],
                "name": job.name,
                "description": "Parked cars, pedestrians, turn left",
            }
            for job in jobs
        ],
        "sensor": [
            {"token": token_of(seed, "sensor", name), "channel": name, "modality": _MODALITIES[name.split("_")[0]]}
            for name in _CHANNELS
        ],
        "calibrated_sensor": [row for job in jobs for row in _calibration_rows(job, seed)],
        "category": [
            {"token": token_of(seed, "category", name), "name": name, "description": "", "index": index}
            for index, name in enumerate(_CATEGORIES)
        ],
        "attribute": attribute_rows(seed, ATTRIBUTES),
        "visibility": visibility_rows(),
    }


def _calibration_rows(job: _SceneJob, seed: int) -> list[Row]:
    yaws = dict(zip(_CAMERAS, np.deg2rad([0, -55, -110, 180, 110, 55]), strict=True))
    rows = []
    for name in _CHANNELS:
        is_camera = name in yaws
        if is_camera:  # camera axes are x right, y down, z forward
            half = 0.5 * (yaws[name] - np.pi / 2)
            c, s, r = np.cos(half), np.sin(half), np.sqrt(0.5)
            rotation = [c * r, -c * r, -s * r, s * r]
        else:
            rotation = [0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817]
        rows.append(
            {
                "token": _calibration_token(seed, job, name),
                "sensor_token": token_of(seed, "sensor", name),
                "translation": [0.943713, 0.0, 1.84023],
                "rotation": [float(part) for part in rotation],
                "camera_intrinsic": [
                    [1266.417203046554, 0.0, 816.2670197447984],
                    [0.0, 1266.417203046554, 491.507],
                    [0, 0, 1],
                ]
                if is_camera
                else [],
            }
        )
    return rows


def _calibration_token(seed: int, job: _SceneJob, channel: str) -> str:
    return token_of(seed, "calibrated_sensor", job.name, channel)


@dataclass(frozen=True)
class _Tokens:
    """The tokens of a scene, in the order in which they are drawn."""

    seed: int
    job: _SceneJob
    rng: np.random.Generator = field(init=False)
    samples: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rng", np.random.default_rng([self.seed, 1, int(self.job.name[-4:])]))
        object.__setattr__(self, "samples", self.some(self.job.frames))

    def some(self, count: int) -> list[str]:
        """So many further ones: 32 hexadecimal digits each."""
        digits = self.rng.bytes(16 * count).hex()
        return [digits[start : start + 32] for start in range(0, 32 * count, 32)]


def _rows_of_scene(job: _SceneJob, seed: int) -> dict[str, tuple[int, bytes]]:
    """The rows that a scene adds to each table: how many, and their text."""
    tokens = _Tokens(seed, job)
    times_us = job.start_us + _PERIOD_US * np.arange(job.frames)
    drive = _Drive(int(job.name[-4:]), job.start_us)
    data, poses = _recording_rows(job, seed, tokens, drive)
    annotations, instances = _annotation_rows(job, seed, tokens, drive)
    scene = token_of(seed, "scene", job.name)
    chain = ["", *tokens.samples, ""]
    samples = [
        f'{{\n"token": "{chain[index + 1]}",\n"timestamp": {time_us},\n"prev": "{chain[index]}",\n'
        f'"next": "{chain[index + 2]}",\n"scene_token": "{scene}"\n}}'
        for index, time_us in enumerate(times_us.tolist())
    ]
    rows = dict(sample=samples, sample_data=data, ego_pose=poses, sample_annotation=annotations, instance=instances)
    return {name: (len(rows[name]), ",\n".join(rows[name]).encode()) for name in _GROWING}


@dataclass(frozen=True)
class _Drive:
    """Where the vehicle is: on an arc, at constant speed."""

    number: int
    start_us: int

    def yaw_rad(self, time_us: IntArray) -> FloatArray:
        """(N,) heading."""
        heading: FloatArray = self.number + 0.02 * (self.number % 5 - 2) * self._elapsed_s(time_us)
        return heading

    def place_m(self, time_us: IntArray) -> FloatArray:
        """(N, 3) where the ego frame's origin is."""
        along_m = (2 + self.number % 7) * self._elapsed_s(time_us)
        yaw = self.number + 0.01 * (self.number % 5 - 2) * self._elapsed_s(time_us)
        start = np.array([300.0 + 7 * (self.number % 200), 900.0 + 3 * (self.number % 300)])
        xy_m = start + along_m[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        return np.column_stack([xy_m, np.zeros(len(along_m))])

    def _elapsed_s(self, time_us: IntArray) -> FloatArray:
        elapsed: FloatArray = 1e-6 * (time_us - self.start_us)
        return elapsed


def _recording_rows(job: _SceneJob, seed: int, tokens: _Tokens, drive: _Drive) -> tuple[list[str], list[str]]:
    """The rows of sample_data and ego_pose, in the order of time."""
    by_time: list[tuple[int, str]] = []
    for number, channel in enumerate(_CHANNELS):
        kind = channel.split("_")[0]
        between = _SWEEPS_BETWEEN_KEY_FRAMES[kind]
        counts = [int(between) + (between % 1 > 0 and frame % 2) for frame in range(job.frames - 1)]
        first = np.cumsum([0, *(count + 1 for count in counts)])
        slot = np.arange(first[-1] + 1)
        frame = np.searchsorted(first, slot, side="right") - 1
        share = (slot - first[frame]) / np.array([*(count + 1 for count in counts), 1])[frame]
        time_us = (job.start_us + _PERIOD_US * (frame + share)).astype(np.int64) + 731 * number
        is_key = slot == first[frame]
        owner = np.minimum(frame + (share > 0.5), job.frames - 1)
        own = tokens.some(len(slot))
        size = '"height": 900,\n"width": 1600' if kind == "CAM" else '"height": 0,\n"width": 0'
        (file_format, suffix), mounting = _SUFFIXES[kind], _calibration_token(seed, job, channel)
        chain = ["", *own, ""]
        for index, (us, key, sample) in enumerate(zip(time_us.tolist(), is_key.tolist(), owner.tolist(), strict=True)):
            folder, flag = ("samples", "true") if key else ("sweeps", "false")
            by_time.append(
                (
                    us,
                    f'{{\n"token": "{own[index]}",\n"sample_token": "{tokens.samples[sample]}",\n'
                    f'"ego_pose_token": "{own[index]}",\n"calibrated_sensor_token": "{mounting}",\n'
                    f'"timestamp": {us},\n"fileformat": "{file_format}",\n"is_key_frame": {flag},\n{size},\n'
                    f'"filename": "{folder}/{channel}/{job.log_name}__{channel}__{us}.{suffix}",\n'
                    f'"prev": "{chain[index]}",\n"next": "{chain[index + 2]}"\n}}',
                )
            )
    by_time.sort()
    order_us = np.array([us for us, _ in by_time])
    places = drive.place_m(order_us).tolist()
    turns = rotation_from_yaw(drive.yaw_rad(order_us)).tolist()
    poses = [
        f'{{\n"token": "{row[12:44]}",\n"timestamp": {us},\n"rotation": [\n{w!r},\n0.0,\n0.0,\n{z!r}\n],\n'
        f'"translation": [\n{x!r},\n{y!r},\n0.0\n]\n}}'
        for (us, row), (x, y, _), (w, _, _, z) in zip(by_time, places, turns, strict=True)
    ]
    return [row for _, row in by_time], poses


def _annotation_rows(job: _SceneJob, seed: int, tokens: _Tokens, drive: _Drive) -> tuple[list[str], list[str]]:
    """The rows of sample_annotation, instance after instance, and of instance."""
    rng = np.random.default_rng([seed, 2, int(job.name[-4:])])
    annotations, instances = [], []
    times_us = job.start_us + _PERIOD_US * np.arange(job.frames)
    category_tokens = [token_of(seed, "category", name) for name in _CATEGORIES]
    attribute_tokens = {name: token_of(seed, "attribute", name) for name in ATTRIBUTES}
    own_attributes = [_attributes_of(name) for name in _CATEGORIES]
    likely = np.array([8, 1, 0.4, 1, 20, 1, 1, 10, 1, 1, 0.3, 4, 1.5, 4, 0.5, 0.3])
    instance_tokens = tokens.some(_INSTANCES)
    kinds = rng.choice(len(_CATEGORIES), size=_INSTANCES, p=likely / likely.sum())
    # Lengths between 2 and 34 frames, of the mean that gives 1.17 million annotations.
    lengths = rng.integers(2, 2 * round(_MEAN_LENGTH) - 1, size=_INSTANCES, endpoint=False) + (job.frames > _FRAMES)
    for token, kind, length in zip(instance_tokens, kinds.tolist(), lengths.tolist(), strict=True):
        first = int(rng.integers(0, job.frames - length + 1))
        own = tokens.some(length)
        during_us = times_us[first : first + length]
        yaw = rng.uniform(-np.pi, np.pi)
        moving = own_attributes[kind] and rng.random() < 0.5
        speed_mps = rng.uniform(0.5, 8.0) if moving else 0.0
        middle_m = drive.place_m(during_us[length // 2 :][:1])[0] + rng.uniform(-45, 45, 3) * [1, 1, 0.02]
        along_m = speed_mps * 1e-6 * (during_us - during_us[length // 2])
        center_m = middle_m + along_m[:, None] * np.array([np.cos(yaw), np.sin(yaw), 0.0])
        w, _, _, z = rotation_from_yaw(yaw)[0].tolist()
        size = np.round(rng.uniform(0.5, 5.0, 3), 3).tolist()
        names = own_attributes[kind]
        attribute = f'\n"{attribute_tokens[names[0 if moving else -1]]}"\n' if names else ""
        head = f'"instance_token": "{token}",\n"visibility_token": "'
        middle = f'",\n"attribute_tokens": [{attribute}],\n"translation": [\n'
        tail = (
            f'\n],\n"size": [\n{size[0]!r},\n{size[1]!r},\n{size[2]!r}\n],\n'
            f'"rotation": [\n{w!r},\n0.0,\n0.0,\n{z!r}\n],\n"prev": "'
        )
        chain = ["", *own, ""]
        lidar, radar = rng.geometric(0.05, length) - 1, rng.geometric(0.5, length) - 1
        levels = rng.integers(1, 5, length).tolist()
        places = np.round(center_m, 3).tolist()
        for index, ((x, y, height), n_lidar, n_radar) in enumerate(
            zip(places, lidar.tolist(), radar.tolist(), strict=True)
        ):
            annotations.append(
                f'{{\n"token": "{own[index]}",\n"sample_token": "{tokens.samples[first + index]}",\n{head}'
                f"{levels[index]}{middle}{x!r},\n{y!r},\n{height!r}{tail}{chain[index]}"
                f'",\n"next": "{chain[index + 2]}",\n'
                f'"num_lidar_pts": {n_lidar},\n"num_radar_pts": {n_radar}\n}}'
            )
        instances.append(
            f'{{\n"token": "{token}",\n"category_token": "{category_tokens[kind]}",\n"nbr_annotations": {length},\n'
            f'"first_annotation_token": "{own[0]}",\n"last_annotation_token": "{own[-1]}"\n}}'
        )
    return annotations, instances


def _attributes_of(category: str) -> list[str]:
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        return [name for name in ATTRIBUTES if name.startswith("cycle")]
    room = {"human": "pedestrian", "vehicle": "vehicle"}.get(category.split(".")[0])
    return [name for name in ATTRIBUTES if room and name.startswith(room)]


def _white_pixel() -> bytes:
    """A PNG image of one pixel: the devkit wants its map masks to be there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    image = zlib.compress(b"\0\xff")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", image) + chunk(b"IEND", b"")
