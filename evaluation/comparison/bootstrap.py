"""Paired bootstrap over scenes: how sure is it that one run is better than another?

As many scenes as there are are drawn with replacement, the same for every run, again and again; the spread of a
metric's difference over the draws is its uncertainty. The interval holds the middle 95% of the differences.

Source: B. Efron and R. Tibshirani, "An introduction to the bootstrap", 1993.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.engine.box_table import IntArray
from evaluation.table import number, text_table
from scenes.geometry import FloatArray

CONFIDENCE = 0.95
_FEW_SCENES = 20

Metrics = Mapping[str, FloatArray]
"""Values of each metric, one for each draw."""


def draw_scenes(n_scenes: int, draws: int, seed: int) -> IntArray:
    """(R, S) how often each of S scenes is in each of R draws."""
    return np.random.default_rng(seed).multinomial(n_scenes, np.full(n_scenes, 1 / n_scenes), size=draws)


@dataclass(frozen=True)
class Difference:
    """How a metric of one run differs from that of the first.

    Attributes:
        metric: its name.
        first, other: its values.
        low, high: interval of `other - first`.
        probability_better: share of the draws in which the other run is better.

    NaN stands for what is not defined, such as the MOTA of scenes without annotations.
    """

    metric: str
    first: float
    other: float
    low: float
    high: float
    probability_better: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def differences(
    values: Mapping[str, Mapping[str, float]], drawn: Mapping[str, Metrics], higher_is_better: Mapping[str, bool]
) -> dict[str, list[Difference]]:
    """How every run but the first differs from the first.

    Args:
        values: for each run its metrics on all scenes.
        drawn: for each run its metrics (R,) on R draws.
        higher_is_better: the metrics to compare.
    """
    first, *others = values
    return {
        other: [
            _difference(
                metric,
                (values[first][metric], values[other][metric]),
                drawn[other][metric] - drawn[first][metric],
                is_better_high,
            )
            for metric, is_better_high in higher_is_better.items()
        ]
        for other in others
    }


def _difference(metric: str, pair: tuple[float, float], spread: FloatArray, higher_is_better: bool) -> Difference:
    tail = (1 - CONFIDENCE) / 2
    # A draw of scenes without an annotation of a class may leave a metric undefined.
    defined = spread[~np.isnan(spread)]
    if not len(defined):
        return Difference(metric, *pair, np.nan, np.nan, np.nan)
    low, high = np.quantile(defined, [tail, 1 - tail])
    better = defined > 0 if higher_is_better else defined < 0
    return Difference(metric, *pair, float(low), float(high), float(better.mean()))


def comparison_table(compared: Mapping[str, Sequence[Difference]], first: str, n_scenes: int) -> str:
    """The comparison as text."""
    blocks = []
    for other, rows in compared.items():
        header = ["", first, other, "difference", f"{CONFIDENCE:.0%} interval", "better in", ""]
        body = [
            [
                row.metric.upper(),
                *(number(value, _decimals(row.metric)) for value in (row.first, row.other)),
                _signed(row.other - row.first, row.metric),
                f"{_signed(row.low, row.metric)} to {_signed(row.high, row.metric)}",
                "-" if np.isnan(row.probability_better) else f"{row.probability_better:.0%}",
                "" if row.is_certain else "not certain",
            ]
            for row in rows
        ]
        blocks.append(text_table(header, body))
    if n_scenes < _FEW_SCENES:
        blocks.append(f"{n_scenes} scenes are few: the intervals are rough, and more likely too narrow than too wide")
    return "\n\n".join(blocks)


def _signed(value: float, metric: str) -> str:
    return "-" if np.isnan(value) else f"{value:+.{_decimals(metric)}f}"


def _decimals(metric: str) -> int:
    return 0 if metric == "ids" else 4
