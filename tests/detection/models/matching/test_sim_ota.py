"""SimOTA: against an assignment written out cell by cell and box by box."""

import math

import pytest
import torch

from detection.frames import CameraTargets
from detection.models.matching.sim_ota import Assignment, SimOTAAssigner


def _grid(stride: int, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centers = (torch.stack([across, down], dim=-1).reshape(-1, 2) + 0.5) * stride
    return centers, torch.full((rows * columns,), float(stride))


def _cells() -> tuple[torch.Tensor, torch.Tensor]:
    levels = [_grid(8, 8, 10), _grid(16, 4, 5), _grid(32, 2, 3)]
    return torch.cat([level[0] for level in levels]), torch.cat([level[1] for level in levels])


def _targets(count: int) -> CameraTargets:
    low = torch.rand(count, 2) * 40
    boxes = torch.cat([low, low + 4 + torch.rand(count, 2) * 30], dim=1)
    return CameraTargets(boxes, torch.randint(3, (count,)), low, torch.ones(count))


def _assigned(
    scores: torch.Tensor, boxes: torch.Tensor, centers: torch.Tensor, strides: torch.Tensor, targets: CameraTargets
) -> Assignment:
    """Of one image alone."""
    return SimOTAAssigner().assign(scores[None], boxes[None], centers, strides, [targets])


def _iou(box: list[float], other: list[float]) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    areas = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (box, other))
    return both / (areas - both)


def _assigned_by_loops(
    scores: torch.Tensor, boxes: torch.Tensor, centers: torch.Tensor, strides: torch.Tensor, targets: CameraTargets
) -> dict[int, tuple[int, float]]:
    """cell -> (box, IoU)"""
    true_boxes, labels = targets.boxes_px.tolist(), targets.labels.tolist()
    cost: dict[tuple[int, int], float] = {}
    overlap: dict[tuple[int, int], float] = {}
    for cell, (x, y) in enumerate(centers.tolist()):
        inside, near = [], []
        for left, top, right, bottom in true_boxes:
            inside.append(left < x < right and top < y < bottom)
            reach = 2.5 * float(strides[cell])
            near.append(abs(x - (left + right) / 2) < reach and abs(y - (top + bottom) / 2) < reach)
        if not any(inside) and not any(near):
            continue
        for box, label in enumerate(labels):
            iou = _iou(boxes[cell].tolist(), true_boxes[box])
            entropy = 0.0
            for index, score in enumerate(scores[cell].sqrt().tolist()):
                entropy -= math.log(score if index == label else 1 - score)
            far = 0.0 if inside[box] and near[box] else 1e5
            cost[cell, box] = entropy - 3 * math.log(iou + 1e-7) + far
            overlap[cell, box] = iou
    wishes: dict[int, list[int]] = {}
    for box in range(len(labels)):
        column = {cell: value for (cell, each), value in cost.items() if each == box}
        best = sorted((overlap[cell, box] for cell in column), reverse=True)[:10]
        for cell in sorted(column, key=column.__getitem__)[: max(int(sum(best)), 1)]:
            wishes.setdefault(cell, []).append(box)
    result = {}
    for cell, wanted in wishes.items():
        box = wanted[0] if len(wanted) == 1 else min(range(len(labels)), key=lambda each: cost[cell, each])
        result[cell] = (box, overlap[cell, box])
    return result


def _predicted(targets: CameraTargets, cells: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores, and boxes not far from annotated ones."""
    number = max(len(targets.labels), 1)
    true = targets.boxes_px if len(targets.labels) else torch.tensor([[10.0, 10.0, 30.0, 30.0]])
    near = true[torch.randint(number, (cells,))] + torch.randn(cells, 4) * 2
    boxes = torch.cat([near[:, :2], near[:, :2] + 1 + (near[:, 2:] - near[:, :2]).clamp(min=0)], dim=1)
    return torch.rand(cells, 3) * 0.9 + 0.05, boxes


@pytest.mark.parametrize("seed", range(8))
def test_assignment_equals_loops(seed: int) -> None:
    torch.manual_seed(seed)
    centers, strides = _cells()
    targets = _targets(4)
    scores, boxes = _predicted(targets, len(centers))
    assignment = _assigned(scores, boxes, centers, strides, targets)
    expected = _assigned_by_loops(scores, boxes, centers, strides, targets)
    assert dict(zip(assignment.cells.tolist(), assignment.boxes.tolist(), strict=True)) == {
        cell: box for cell, (box, _) in expected.items()
    }
    torch.testing.assert_close(assignment.overlaps, torch.tensor([expected[c][1] for c in assignment.cells.tolist()]))
    assert len(assignment.cells.unique()) == len(assignment.cells)


@pytest.mark.parametrize("counts", [(3, 0, 5), (0, 0), (1,), (0, 2, 1)])
def test_images_side_by_side_are_assigned_as_each_alone(counts: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    centers, strides = _cells()
    targets = [_targets(count) for count in counts]
    scores, boxes = (
        torch.stack(each) for each in zip(*(_predicted(image, len(centers)) for image in targets), strict=True)
    )
    together = SimOTAAssigner().assign(scores, boxes, centers, strides, targets)
    first = 0
    for image, (count, alone) in enumerate(zip(counts, targets, strict=True)):
        expected = _assigned(scores[image], boxes[image], centers, strides, alone)
        of_image = together.images == image
        assert together.cells[of_image].tolist() == expected.cells.tolist()
        assert (together.boxes[of_image] - first).tolist() == expected.boxes.tolist()
        assert together.overlaps[of_image].tolist() == expected.overlaps.tolist()
        first += count
    assert together.images.tolist() == sorted(together.images.tolist())


def test_two_boxes_on_one_cell_share_it_out() -> None:
    centers, strides = torch.tensor([[8.0, 8.0]]), torch.tensor([16.0])
    same = torch.tensor([[2.0, 2.0, 14.0, 14.0]])
    targets = CameraTargets(same.repeat(2, 1), torch.tensor([0, 1]), same[:, :2].repeat(2, 1), torch.ones(2))
    assignment = _assigned(torch.tensor([[0.1, 0.8]]), same, centers, strides, targets)
    assert assignment.cells.tolist() == [0] and assignment.boxes.tolist() == [1]


@pytest.mark.parametrize("box", [None, [500.0, 500.0, 510.0, 510.0]], ids=["no box", "box outside of the image"])
def test_nothing_to_assign(box: list[float] | None) -> None:
    centers, strides = _cells()
    boxes = torch.tensor([box] if box else []).reshape(-1, 4)
    targets = CameraTargets(boxes, torch.zeros(len(boxes), dtype=torch.int64), boxes[:, :2], boxes[:, 0])
    predicted = torch.cat([centers - 4, centers + 4], dim=1)
    assignment = _assigned(torch.rand(len(centers), 3), predicted, centers, strides, targets)
    assert assignment.cells.shape == assignment.boxes.shape == assignment.overlaps.shape == (0,)


def test_numbers_that_are_none_stop_nothing() -> None:
    centers, strides = _cells()
    targets = _targets(2)
    nowhere = torch.full((len(centers), 4), float("nan"))
    assignment = _assigned(torch.rand(len(centers), 3), nowhere, centers, strides, targets)
    assert len(assignment.cells)
