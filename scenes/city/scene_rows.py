"""Rows of the nuScenes tables that tell of one scene: what was taken when and where, and what is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scenes.city.catalog import KINDS, attribute_name
from scenes.city.layout.terrain import lifted
from scenes.city.life.simulation import Drive
from scenes.city.mix import MIXES
from scenes.city.nuscenes_rows import LIDAR_CHANNEL
from scenes.city.scene_job import Capture, SceneJob, Timetable
from scenes.city.sensors.observation import Observation
from scenes.city.sensors.rig import CAMERAS
from scenes.geometry import FloatArray, pose_heading_rad, rotation_from_yaw
from scenes.new_rows import Row, link_chain, token_of

_ANNOTATION_RANGE_M: Final = 65.0
_BRIDGED_FRAMES: Final = 2
"""Annotators keep following somebody who is out of sight for no longer than this."""


class SceneRows:
    """Makes the rows of one simulated scene."""

    def __init__(self, job: SceneJob, timetable: Timetable, drive: Drive) -> None:
        self._job = job
        self._timetable = timetable
        self._drive = drive

    def scene(self, dusk: bool) -> Row:
        """Its row."""
        return {
            "token": self._job.token("scene"),
            "log_token": self._job.token("log"),
            "nbr_samples": len(self._timetable.times_s),
            "first_sample_token": self._job.token("sample", 0),
            "last_sample_token": self._job.token("sample", len(self._timetable.times_s) - 1),
            "name": self._job.name,
            "description": f"{'Dusk' if dusk else 'Day'}, synthetic town {self._job.town + 1}",
        }

    def log(self) -> Row:
        """The row of its log."""
        return {
            "token": self._job.token("log"),
            "logfile": self._job.log_name,
            "vehicle": "city",
            "date_captured": "2023-11-14",
            "location": f"city-town-{self._job.town + 1}",
        }

    def samples(self) -> list[Row]:
        """Rows of sample, chained."""
        rows: list[Row] = [
            {
                "token": self._job.token("sample", frame),
                "timestamp": timestamp,
                "prev": "",
                "next": "",
                "scene_token": self._job.token("scene"),
            }
            for frame, timestamp in enumerate(self._timetable.timestamps_us)
        ]
        link_chain(rows)
        return rows

    def sample_data(self) -> tuple[list[Row], list[Row]]:
        """Rows of sample_data, chained for each sensor, and of ego_pose."""
        data_rows: list[Row] = []
        poses: list[Row] = []
        channels = [LIDAR_CHANNEL, *(mount.channel for mount in CAMERAS)]
        for channel in channels:
            captures = self._timetable.captures(channel)
            rows = [self._sample_data_row(channel, capture) for capture in captures]
            link_chain(rows)
            data_rows += rows
            poses += [self._pose_row(row["token"], capture) for row, capture in zip(rows, captures, strict=True)]
        return data_rows, poses

    def _sample_data_row(self, channel: str, capture: Capture) -> Row:
        is_lidar = channel == LIDAR_CHANNEL
        token = self._job.token("sample_data", channel, *capture.name)
        return {
            "token": token,
            "sample_token": self._job.token("sample", capture.frame),
            "ego_pose_token": token,
            "calibrated_sensor_token": self._calibration_token(channel),
            "timestamp": capture.timestamp_us,
            "fileformat": "pcd" if is_lidar else "jpg",
            "is_key_frame": capture.is_key_frame,
            "height": 0 if is_lidar else self._job.height_px,
            "width": 0 if is_lidar else self._job.width_px,
            "filename": capture.filename,
            "prev": "",
            "next": "",
        }

    def _calibration_token(self, channel: str) -> str:
        """Of the scene's own calibration, where it has a rig of its own."""
        if channel == LIDAR_CHANNEL or MIXES[self._job.mix].rig is None:
            return token_of(self._job.seed, "calibrated_sensor", channel)
        return self._job.token("calibrated_sensor", channel)

    def _pose_row(self, token: str, capture: Capture) -> Row:
        pose = self._drive.ego.pose_at(capture.time_s)
        return {
            "token": token,
            "timestamp": capture.timestamp_us,
            "rotation": self._rotation_wxyz(pose),
            "translation": pose[:3, 3].tolist(),
        }

    def _rotation_wxyz(self, pose: FloatArray) -> list[float]:
        if self._drive.ego.terrain.is_flat:
            rotation = rotation_from_yaw(pose_heading_rad(pose))[0]
        else:
            rotation = Rotation.from_matrix(pose[:3, :3]).as_quat(canonical=True, scalar_first=True)
        wxyz: list[float] = rotation.tolist()
        return wxyz

    def annotations(self, observations: Sequence[Observation]) -> tuple[list[Row], list[Row]]:
        """Rows of instance and of sample_annotation, chained for each instance."""
        cast = self._drive.cast
        states = [cast.at(time_s) for time_s in self._timetable.times_s.tolist()]
        centers_m = [lifted(state.center_m, self._drive.ego.terrain) for state in states]
        annotated = self._annotated(observations)
        instances: list[Row] = []
        annotations: list[Row] = []
        for actor in np.flatnonzero(annotated.any(axis=0)).tolist():
            kind = KINDS[cast.kind[actor]]
            size = cast.size_wlh_m[actor].tolist()
            rows: list[Row] = []
            for frame in np.flatnonzero(annotated[:, actor]).tolist():
                state, observation = states[frame], observations[frame]
                attribute = attribute_name(kind, cast.activity[actor], float(state.speed_mps[actor]))
                rows.append(
                    {
                        "token": self._job.token("annotation", actor, frame),
                        "sample_token": self._job.token("sample", frame),
                        "instance_token": self._job.token("instance", actor),
                        "visibility_token": str(observation.visibility[actor]),
                        "attribute_tokens": [token_of(self._job.seed, "attribute", attribute)] if attribute else [],
                        "translation": np.round(centers_m[frame][actor], 3).tolist(),
                        "size": size,
                        "rotation": rotation_from_yaw(state.yaw_rad[actor])[0].tolist(),
                        "prev": "",
                        "next": "",
                        "num_lidar_pts": int(observation.lidar_points[actor]),
                        "num_radar_pts": int(observation.radar_points[actor]),
                    }
                )
            link_chain(rows)
            annotations += rows
            instances.append(
                {
                    "token": self._job.token("instance", actor),
                    "category_token": token_of(self._job.seed, "category", kind.category),
                    "nbr_annotations": len(rows),
                    "first_annotation_token": rows[0]["token"],
                    "last_annotation_token": rows[-1]["token"],
                }
            )
        return instances, annotations

    def _annotated(self, observations: Sequence[Observation]) -> NDArray[np.bool_]:
        """(frames, actors) who is annotated: near, and seen by the lidar now or within the bridged frames."""
        hit = np.array([observation.lidar_points > 0 for observation in observations])
        seen = hit.copy()
        for shift in range(1, _BRIDGED_FRAMES + 1):
            seen[shift:] |= hit[:-shift]
            seen[:-shift] |= hit[shift:]
        positions = [self._drive.cast.at(time_s).center_m[:, :2] for time_s in self._timetable.times_s.tolist()]
        ego = [self._drive.ego.pose_at(time_s)[:2, 3] for time_s in self._timetable.times_s.tolist()]
        near = np.array(
            [np.linalg.norm(p - e, axis=1) < _ANNOTATION_RANGE_M for p, e in zip(positions, ego, strict=True)]
        )
        annotated: NDArray[np.bool_] = seen & near
        return annotated
