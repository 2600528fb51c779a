"""What is compared is what KITTI's files hold: the labels, and the lines that tracks are written as."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.protocols.kitti_boxes import KittiBoxes, read_kitti_sequences
from scenes.conversion.kitti_lines import write_kitti_lines
from scenes.conversion.source_frames import read_source_frames


def assert_same_boxes(ours: KittiBoxes, theirs: KittiBoxes, atol: float) -> None:
    """The same boxes frame by frame, in any order, and the same objects."""
    order, other = (np.lexsort((boxes.edges_px[:, 1], boxes.edges_px[:, 0], boxes.frame)) for boxes in (ours, theirs))
    ours, theirs = ours.select(order), theirs.select(other)
    assert ours.frame.tolist() == theirs.frame.tolist() and ours.kind.tolist() == theirs.kind.tolist()
    pairs = set(zip(ours.track.tolist(), theirs.track.tolist(), strict=True))
    assert len(pairs) == len(set(ours.track.tolist())) == len(set(theirs.track.tolist()))
    for name in ("edges_px", "bottom_m", "size_wlh_m"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=atol)
    turn = ours.ry_rad - theirs.ry_rad
    np.testing.assert_allclose(np.remainder(turn + 1, 2 * np.pi), 1, atol=atol)


def test_labels_are_kittis(kitti_root, found_tracks, record, parsed) -> None:
    frames = read_source_frames(kitti_root, "v1.0-kitti", "all")
    sequences = list(read_kitti_sequences(found_tracks, frames))
    for seed, sequence in zip((6, 7), sequences, strict=True):
        expected = parsed(*record.sequence(seed), record.FRAMES)
        assert sequence.n_frames == record.FRAMES
        assert_same_boxes(sequence.labels, expected.labels, 1e-8)
        for name in ("truncated", "occluded"):
            found, stated = getattr(sequence.labels, name), getattr(expected.labels, name)
            assert np.bincount(found).tolist() == np.bincount(stated).tolist()
        assert sequence.region_frame.tolist() == expected.region_frame.tolist()
        np.testing.assert_array_equal(sequence.region_px, expected.region_px)


def test_tracks_are_those_of_the_written_lines(kitti_root, found_tracks, record, parsed, tmp_path) -> None:
    frames = read_source_frames(kitti_root, "v1.0-kitti", "all")
    write_kitti_lines(found_tracks, frames, tmp_path, "probability")
    for scene, sequence in zip(frames.scenes, read_kitti_sequences(found_tracks, frames), strict=True):
        lines = [line.split() for line in (tmp_path / f"{scene.name}.txt").read_text().splitlines()]
        expected = parsed([], [[int(a), int(b), c, *map(float, rest)] for a, b, c, *rest in lines], record.FRAMES)
        assert 0 < len(sequence.tracks) < sum(len(found_tracks.boxes[frame.token]) for frame in scene.frames)
        assert_same_boxes(sequence.tracks, expected.tracks, 1e-6)
        np.testing.assert_allclose(np.sort(sequence.tracks.score), np.sort(expected.tracks.score), atol=1e-6)


@pytest.mark.parametrize("edges", [(0, 0, 10, 25.0), (0, 0, 10, 25.1)])
def test_a_small_box_is_25_px_high(edges, made_up) -> None:
    tracks = made_up(0).tracks.select(np.array([0]))
    tracks.edges_px[:] = edges
    assert tracks.is_small.tolist() == [edges[3] <= 25]
