"""The benchmark's boxes, its peer, and what it prints; no times."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from scenes import LABEL_OF_CLASS, InputError
from tracking import benchmark

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "tracking"


def test_made_frames_hold_as_many_boxes_as_asked_and_repeat() -> None:
    frames, again = benchmark.made_frames(30, 4), benchmark.made_frames(30, 4)
    assert [len(boxes) for boxes in frames] == [30] * 4
    assert all(np.array_equal(a.center_m, b.center_m) for a, b in zip(frames, again, strict=True))


def test_peer_follows_boxes_by_their_velocity_and_forgets_at_age_3(boxes_at) -> None:
    peer = benchmark.GreedyPeer()
    frames = [boxes_at([(5.0 * index, 0.0)], velocity_mps=[[10.0, 0.0]]) for index in range(8)]
    seen = [peer.step(boxes, 500_000 * index) for index, boxes in enumerate(frames[:3])]
    assert [[box["identity"] for box in boxes] for boxes in seen] == [[1]] * 3
    far = boxes_at([(500.0, 0.0)])
    assert [box["identity"] for box in peer.step(far, 1_500_000)] == [2]
    assert [box["identity"] for box in peer.step(frames[4], 2_000_000)] == [1]
    for index in (5, 6, 7):
        peer.step(boxes_at([]), 500_000 * index)
    assert [box["identity"] for box in peer.step(far, 4_000_000)] == [3]


def test_peer_matches_within_its_class_and_score_only(boxes_at) -> None:
    peer = benchmark.GreedyPeer()
    peer.step(boxes_at([(0.0, 0.0)]), 0)
    truck = boxes_at([(0.0, 0.0)], label=np.array([LABEL_OF_CLASS["truck"]]))
    assert [box["identity"] for box in peer.step(truck, 500_000)] == [2]
    assert peer.step(boxes_at([(0.0, 0.0)], score=np.array([0.2])), 1_000_000) == []


def test_every_preset_and_the_peer_are_measured(capsys) -> None:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    benchmark.run(parser.parse_args(["--boxes", "5", "--frames", "4", "--rounds", "1", "--configs", str(CONFIGS)]))
    printed = capsys.readouterr().out
    assert "5 boxes" in printed and "published" in printed
    assert all(path.stem in printed for path in CONFIGS.glob("*.py"))


def test_folder_without_configs_is_refused(tmp_path) -> None:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    with pytest.raises(InputError, match="no configs in it"):
        benchmark.run(parser.parse_args(["--configs", str(tmp_path)]))
