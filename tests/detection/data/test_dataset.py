"""Frames and windows, as a data loader gets them."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from detection.data import (
    FrameRequest,
    ShuffledSampler,
    StreamingSampler,
    TemporalFrameDataset,
    read_infos,
    write_infos,
)
from detection.data.collate import collate
from detection.frames import FrameBatch
from scenes import InputError, read_scenes
from scenes.city import TRAIN_SPLIT, VERSION

Infos = list[dict[str, Any]]
EditInfos = Callable[[Callable[[Infos], None]], Path]


def _request(index: int, continues: bool = False, seed: int = 0) -> FrameRequest:
    return FrameRequest(index, 0, continues, (seed,))


def test_frame_has_what_the_tables_say(small_city: Path, train_infos: Path, pipeline: list[dict[str, Any]]) -> None:
    still = [step for step in pipeline if step["type"] in ("LoadImages", "NormalizeImages")]
    dataset = TemporalFrameDataset(small_city, train_infos.name, still)
    scenes = read_scenes(small_city, VERSION, TRAIN_SPLIT)
    frames = [frame for scene in scenes for frame in scene.frames]
    assert dataset.sample_tokens == [frame.token for frame in frames]
    (batch,) = dataset[3]
    frame = frames[3]
    assert batch.images.shape == (1, 6, 3, 180, 320) and batch.images.dtype == torch.uint8
    assert batch.scene_tokens == (scenes[0].token,) and batch.sample_tokens == (frame.token,)
    assert batch.timestamp_s.dtype == torch.float64
    assert batch.timestamp_s.item() == pytest.approx(frame.timestamp_us * 1e-6, abs=1e-6)
    assert batch.continues_scene.tolist() == [True]
    assert batch.targets is not None and frame.annotations is not None
    seen = frame.annotations.boxes.select(frame.annotations.num_lidar_pts + frame.annotations.num_radar_pts > 0)
    boxes = batch.targets[0].boxes.double().numpy()
    pose = batch.global_from_lidar[0].double().numpy()
    np.testing.assert_allclose(boxes[:, :3] @ pose[:3, :3].T + pose[:3, 3], seen.center_m, atol=1e-3)
    np.testing.assert_allclose(boxes[:, 3:6], seen.size_wlh_m[:, [1, 0, 2]], atol=1e-5)
    assert batch.targets[0].labels.tolist() == seen.label.tolist()
    # The images come in the published order, each with its own camera's projection.
    back = next(camera for camera in frame.cameras if camera.name == "CAM_BACK")
    pixels, depths = back.project(seen.center_m)
    ours = np.column_stack([boxes[:, :3], np.ones(len(boxes))]) @ batch.image_from_lidar[0, 3].double().numpy().T
    np.testing.assert_allclose(ours[:, 2], depths, atol=1e-3)
    ahead = depths > 1
    np.testing.assert_allclose((ours[:, :2] / ours[:, 2:3])[ahead], pixels[ahead], atol=0.05)


def test_window_stays_in_its_scene(small_city: Path, train_infos: Path) -> None:
    dataset = TemporalFrameDataset(small_city, train_infos, [], num_frames=4)
    random = np.random.default_rng(0)
    assert dataset._window(3, random) == [0, 1, 2, 3]
    assert dataset._window(1, random) == [0, 0, 0, 1]
    assert dataset._window(5, random) == [5, 5, 5, 5]
    assert dataset._window(9, random) == [6, 7, 8, 9]


def test_window_with_uneven_intervals(small_city: Path, train_infos: Path) -> None:
    dataset = TemporalFrameDataset(small_city, train_infos, [], num_frames=3, num_skipped=2)
    windows = {tuple(dataset._window(4, np.random.default_rng(seed))) for seed in range(60)}
    assert windows == {(a, b, 4) for a in range(4) for b in range(a + 1, 4)}


def test_repeated_frame_begins_anew(small_city: Path, train_infos: Path, pipeline: list[dict[str, Any]]) -> None:
    dataset = TemporalFrameDataset(small_city, train_infos, pipeline, num_frames=4)
    window = dataset[_request(6)]
    tokens = dataset.sample_tokens
    assert [frame.sample_tokens[0] for frame in window] == [tokens[5], tokens[5], tokens[5], tokens[6]]
    assert [bool(frame.continues_scene) for frame in window] == [False, False, False, True]


def test_scenes_are_split(small_city: Path, train_infos: Path) -> None:
    dataset = TemporalFrameDataset(small_city, train_infos, [], sequence_split=2)
    assert [part.tolist() for part in dataset.sequences] == [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9]]


def test_frames_in_any_order_are_sorted(edited_infos: EditInfos, small_city: Path, train_infos: Path) -> None:
    path = edited_infos(lambda infos: infos.reverse())
    assert (
        TemporalFrameDataset(small_city, path, []).sample_tokens
        == TemporalFrameDataset(small_city, train_infos, []).sample_tokens
    )


def test_scene_of_one_frame_without_boxes(
    edited_infos: EditInfos, small_city: Path, pipeline: list[dict[str, Any]]
) -> None:
    def cut(infos: Infos) -> None:
        del infos[1:5]
        infos[0].update(
            gt_boxes=np.zeros((0, 7)),
            gt_names=np.array([], dtype=np.str_),
            gt_velocity=np.zeros((0, 2)),
            valid_flag=np.zeros(0, dtype=np.bool_),
            **{key: [np.zeros((0,))] * 6 for key in ("bboxes2d", "labels2d", "centers2d", "depths")},
        )

    dataset = TemporalFrameDataset(small_city, edited_infos(cut), pipeline, sequence_split=2, num_frames=2)
    assert [len(part) for part in dataset.sequences] == [1, 3, 2]
    first, second = dataset[_request(0)]
    assert first.targets is not None and second.targets is not None
    assert first.targets[0].boxes.shape == (0, 9) and second.targets[0].cameras[3].boxes_px.shape == (0, 4)
    batch = collate([dataset[_request(0)], dataset[_request(5)]])["frames"][1]
    assert batch.targets is not None and [len(target.labels) > 0 for target in batch.targets] == [False, True]


def test_test_mode_has_no_targets(small_city: Path, train_infos: Path, pipeline: list[dict[str, Any]]) -> None:
    dataset = TemporalFrameDataset(small_city, train_infos, pipeline, test_mode=True)
    assert dataset[0][0].targets is None


def _set_camera(name: str, key: str, value: Any) -> Callable[[Infos], None]:
    def change(infos: Infos) -> None:
        infos[2]["cams"][name][key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set_camera("CAM_BACK", "cam_intrinsic", np.zeros((3, 3))), "CAM_BACK: key cam_intrinsic cannot be inverted"),
        (_set_camera("CAM_BACK", "cam_intrinsic", np.eye(3)[:2]), "cam_intrinsic is not 3x3 finite numbers"),
        (_set_camera("CAM_BACK", "cam_intrinsic", "none"), "cam_intrinsic holds something else"),
        (_set_camera("CAM_FRONT", "sensor2lidar_rotation", np.zeros((3, 3))), "is not a rotation"),
        (_set_camera("CAM_FRONT", "sensor2lidar_translation", [0, np.nan, 0]), "is not 3 finite numbers"),
        (lambda infos: infos[2]["cams"].pop("CAM_BACK"), "has no camera 'CAM_BACK'"),
        (lambda infos: infos[2].update(ego2global_rotation=[0, 0, 0, 0]), "ego2global_rotation is a zero quaternion"),
        (lambda infos: infos[2].update(gt_velocity=np.zeros((1, 2))), "differ in length"),
        (lambda infos: infos[2]["gt_boxes"].__setitem__((0, 3), np.inf), "gt_boxes 0 is not finite"),
    ],
)
def test_bad_frame_is_named(
    edited_infos: EditInfos, small_city: Path, train_infos: Path, change: Callable[[Infos], None], message: str
) -> None:
    token = read_infos(train_infos)[0][2]["token"]
    with pytest.raises(InputError, match=message) as caught:
        TemporalFrameDataset(small_city, edited_infos(change), [])
    assert f"edited.pkl: sample '{token}'" in str(caught.value)


def test_an_info_file_of_another_data_root_is_not_taken_out_of_the_working_folder(
    train_infos: Path, small_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "infos.pkl").write_bytes(train_infos.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"infos\.pkl"):
        TemporalFrameDataset(small_city, "infos.pkl", [])
    assert len(TemporalFrameDataset(small_city, tmp_path / "infos.pkl", [])) > 0


def test_data_root_without_infos(small_city: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pkl: no such info file \(`streamtrack create_data`"):
        TemporalFrameDataset(small_city, "absent.pkl", [])


def test_images_are_found_where_the_data_root_is_now(small_city: Path, train_infos: Path, tmp_path: Path) -> None:
    infos, metadata = read_infos(train_infos)
    moved, recorded = tmp_path / "moved", tmp_path / "moved.pkl"
    write_infos(recorded, infos, metadata)
    expected = moved / Path(infos[0]["cams"]["CAM_FRONT"]["data_path"]).relative_to(small_city)
    assert TemporalFrameDataset(moved, recorded, []).record(0).cameras[0].image_path == expected
    # Published files do not say for which data root they were written.
    for info in infos:
        for camera in info["cams"].values():
            camera["data_path"] = camera["data_path"].replace(str(small_city), "./data/nuscenes")
    write_infos(recorded, infos, {"version": "v1.0-trainval"})
    assert TemporalFrameDataset(moved, recorded, []).record(0).cameras[0].image_path == expected


def _equal(first: FrameBatch, second: FrameBatch) -> bool:
    assert first.targets is not None and second.targets is not None
    return all(
        torch.equal(a, b)
        for a, b in [
            (first.images, second.images),
            (first.image_from_lidar, second.image_from_lidar),
            (first.global_from_lidar, second.global_from_lidar),
            (first.continues_scene, second.continues_scene),
            *((a.boxes, b.boxes) for a, b in zip(first.targets, second.targets, strict=True)),
        ]
    )


@pytest.mark.parametrize(("sampler_type", "num_frames"), [(StreamingSampler, 1), (ShuffledSampler, 2)])
def test_number_of_workers_and_resuming_change_nothing(
    small_city: Path, train_infos: Path, pipeline: list[dict[str, Any]], sampler_type: type, num_frames: int
) -> None:
    dataset = TemporalFrameDataset(small_city, train_infos, pipeline, num_frames=num_frames, num_skipped=num_frames - 1)

    def batches(workers: int, start: int, count: int) -> list[FrameBatch]:
        sampler = sampler_type(dataset, 2, seed=4)
        sampler.iteration = start
        loader = DataLoader(dataset, 2, sampler=sampler, collate_fn=collate, num_workers=workers)
        return [frame for batch in islice(loader, count) for frame in batch["frames"]]

    whole = batches(0, 0, 6)
    assert all(_equal(a, b) for a, b in zip(whole, batches(2, 0, 6), strict=True))
    assert all(_equal(a, b) for a, b in zip(whole[4 * num_frames :], batches(1, 4, 2), strict=True))
    assert not _equal(whole[0], whole[-1])


def test_loader_of_another_batch_size_is_refused(small_city: Path, train_infos: Path) -> None:
    dataset = TemporalFrameDataset(small_city, train_infos, [])
    loader = DataLoader(dataset, 3, sampler=StreamingSampler(dataset, 2), collate_fn=collate)
    with pytest.raises(InputError, match="different batch sizes"):
        next(iter(loader))


def test_bad_window(small_city: Path, train_infos: Path) -> None:
    with pytest.raises(InputError, match="num_frames=0"):
        TemporalFrameDataset(small_city, train_infos, [], num_frames=0)


def test_collate_refuses_frames_that_differ(
    small_city: Path, train_infos: Path, pipeline: list[dict[str, Any]]
) -> None:
    six = TemporalFrameDataset(small_city, train_infos, pipeline)
    one = TemporalFrameDataset(small_city, train_infos, pipeline, cameras=["CAM_FRONT"])
    with pytest.raises(InputError, match=r"frames of one batch differ: 6 images of 160x64.*, 1 images of 160x64"):
        collate([six[0], one[1]])
    with pytest.raises(InputError, match="windows of different length"):
        collate([six[0], []])
