"""How far arrays are from recorded ones, in units of what is tolerated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]


def array_of(tensor: Tensor) -> Array:
    """The numbers of a tensor, wherever it lies; numpy knows no bfloat16."""
    on_cpu = tensor.detach().cpu()
    array: Array = (on_cpu.float() if on_cpu.dtype is torch.bfloat16 else on_cpu).numpy()
    return array


@dataclass(frozen=True)
class Difference:
    """The largest difference of one array.

    Attributes:
        array: its name in the recording.
        place: where in it: an index, or what else is wrong with it.
        size: the difference there.
        tolerance: what is tolerated there.
    """

    array: str
    place: str
    size: float
    tolerance: float

    @property
    def ratio(self) -> float:
        """The difference in units of the tolerance; above 1 is too much."""
        if self.size == 0:
            return 0.0
        return self.size / self.tolerance if self.tolerance else float("inf")

    def __str__(self) -> str:
        at = f"{self.array} {self.place}".strip()
        return f"{self.ratio:.2g} of the tolerance ({self.size:.2g} of {self.tolerance:.2g}) at {at}"


class Comparison:
    """Collects the differences of one recording.

    Attributes:
        differences: the largest of each array that was compared.
        compared: names of the arrays that were compared.
        not_compared: names of recorded arrays that nothing here corresponds to.
    """

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self.compared: list[str] = []
        self.not_compared: list[str] = []

    @property
    def worst(self) -> Difference | None:
        """The largest difference relative to its tolerance; None before the first."""
        return max(self.differences, key=lambda difference: difference.ratio, default=None)

    @property
    def agrees(self) -> bool:
        """Whether everything was within its tolerance."""
        return self.worst is None or self.worst.ratio <= 1

    def within(
        self, name: str, actual: npt.ArrayLike | Tensor, recorded: npt.ArrayLike, tolerance: npt.ArrayLike
    ) -> None:
        """Compare numbers.

        Args:
            name: of the recorded array.
            actual, recorded: of the same shape; a tensor may lie anywhere.
            tolerance: absolute; broadcasts over the arrays.
        """
        mine = array_of(actual) if isinstance(actual, Tensor) else np.asarray(actual)
        theirs = np.asarray(recorded)
        self.compared.append(name)
        if mine.shape != theirs.shape:
            shapes = f"has shape {mine.shape}, recorded {theirs.shape}"
            self.differences.append(Difference(name, shapes, float("inf"), 0.0))
            return
        if not mine.size:
            return
        sizes = _distances(mine, theirs)
        tolerances = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), sizes.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(sizes == 0, 0.0, sizes / tolerances)
        worst = np.unravel_index(int(np.argmax(ratios)), sizes.shape)
        place = f"[{', '.join(str(int(axis)) for axis in worst)}]" if sizes.ndim else ""
        self.differences.append(Difference(name, place, float(sizes[worst]), float(tolerances[worst])))

    def equal(self, name: str, actual: npt.ArrayLike | Tensor, recorded: npt.ArrayLike) -> None:
        """Compare what has no rounding: indices, labels, masks."""
        self.within(name, actual, recorded, 0.0)

    def lacks(self, name: str, why: str) -> None:
        """Something recorded is absent here, or the other way round."""
        self.compared.append(name)
        self.differences.append(Difference(name, why, float("inf"), 0.0))


def _distances(mine: Array, theirs: Array) -> npt.NDArray[np.float64]:
    """Absolute differences; infinite where only one of both is a number."""
    first, second = mine.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        sizes = np.abs(first - second)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    return np.where(same, 0.0, np.where(np.isnan(sizes), np.inf, sizes))
