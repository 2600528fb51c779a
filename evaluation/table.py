"""Metrics as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.evaluation import Evaluation

_TRACKING_DECIMALS = {
    **dict.fromkeys(["amota", "amotp", "recall", "motar", "mota", "motp"], 3),
    **dict.fromkeys(["gt", "mt", "ml", "tp", "fp", "fn", "ids", "frag"], 0),
    "faf": 1,
    "tid": 2,
    "lgd": 2,
}
_ERROR_TITLES = {
    "trans_err": "ATE m",
    "scale_err": "ASE",
    "orient_err": "AOE rad",
    "vel_err": "AVE m/s",
    "attr_err": "AAE",
}


def metrics_table(evaluation: Evaluation) -> str:
    """One row a class and one over all classes; `-` where a metric is not defined."""
    table = text_table(*metrics_rows(evaluation))
    if evaluation.task == "tracking":
        return table
    summary = evaluation.summary
    return f"{table}\nmAP {number(summary['mean_ap'], 4)}   NDS {number(summary['nd_score'], 4)}"


def metrics_rows(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of the table."""
    return _tracking_rows(evaluation.summary) if evaluation.task == "tracking" else _detection_rows(evaluation.summary)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with spaces: the first to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def number(value: float, decimals: int) -> str:
    """A number for a table cell; `-` for NaN."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def _tracking_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    by_class = summary["label_metrics"]
    rows = [
        [name, *(number(by_class[metric][name], decimals) for metric, decimals in _TRACKING_DECIMALS.items())]
        for name in by_class["amota"]
    ]
    total = ["all", *(number(summary[metric], decimals) for metric, decimals in _TRACKING_DECIMALS.items())]
    return ["class", *(metric.upper() for metric in _TRACKING_DECIMALS)], [*rows, total]


def _detection_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [name, number(ap, 3), *(number(summary["label_tp_errors"][name][error], 3) for error in _ERROR_TITLES)]
        for name, ap in summary["mean_dist_aps"].items()
    ]
    total = ["all", number(summary["mean_ap"], 3), *(number(summary["tp_errors"][error], 3) for error in _ERROR_TITLES)]
    return ["class", "AP", *_ERROR_TITLES.values()], [*rows, total]
