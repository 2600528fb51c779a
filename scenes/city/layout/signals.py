"""Traffic lights: two phases a crossing, one for each axis, with a random offset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

GREEN_S: Final = 13.0
YELLOW_S: Final = 2.5
CLEARANCE_S: Final = 2.0
_PHASE_S: Final = GREEN_S + YELLOW_S + CLEARANCE_S
_CYCLE_S: Final = 2.0 * _PHASE_S

Node = tuple[int, int]


class Signals:
    """The lights of all signalled crossings. An arm's light is that of its axis (direction modulo 2)."""

    def __init__(self, nodes: Iterable[Node], rng: np.random.Generator) -> None:
        self._offset_s = {node: float(rng.uniform(0.0, _CYCLE_S)) for node in sorted(nodes)}

    def is_green(self, node: Node, direction: int, time_s: float) -> bool:
        """Whether traffic on an axis may enter; always true without lights."""
        return node not in self._offset_s or self._since_green_s(node, direction, time_s) < GREEN_S

    def is_yellow(self, node: Node, direction: int, time_s: float) -> bool:
        """Whether an axis's green has just ended."""
        if node not in self._offset_s:
            return False
        return GREEN_S <= self._since_green_s(node, direction, time_s) < GREEN_S + YELLOW_S

    def color(self, node: Node, direction: int, time_s: float) -> str:
        """`green`, `yellow` or `red`."""
        if self.is_green(node, direction, time_s):
            return "green"
        return "yellow" if self.is_yellow(node, direction, time_s) else "red"

    def red_left_s(self, node: Node, direction: int, time_s: float) -> float:
        """How long an axis will stay red, 0 while it is green or yellow."""
        since_green_s = self._since_green_s(node, direction, time_s)
        return _CYCLE_S - since_green_s if since_green_s >= GREEN_S + YELLOW_S else 0.0

    def _since_green_s(self, node: Node, direction: int, time_s: float) -> float:
        return (time_s + self._offset_s[node] - (direction % 2) * _PHASE_S) % _CYCLE_S
