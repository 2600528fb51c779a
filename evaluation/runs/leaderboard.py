"""Lists of runs: for a terminal, and as a page with the leaderboard of each split."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Final
from urllib.parse import quote

from evaluation.runs.scene_counts import ERRORS
from evaluation.runs.store import ALL, Run
from evaluation.table import text_table
from scenes.errors import InputError, shown, unknown_name
from scenes.files import write_atomically

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "evaluate tracking": ("amota", "amotp", "mota", "recall", "ids", "fp", "fn"),
    "evaluate detection": ("nd_score", "mean_ap", "trans_err", "scale_err", "orient_err", "vel_err", "attr_err"),
}
"""What is shown of a command's runs; they are ranked by the first."""

_COUNTED: Final = ("gt", "mt", "ml", "tp", "fp", "fn", "ids", "frag", "boxes", "tracks")

_STYLE: Final = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 1150px; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
table { display: block; overflow-x: auto }
th, td { padding: 3px 9px; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left } tbody tr:first-child td { font-weight: 600 }
"""


def selected(
    runs: Sequence[Run], *, command: str | None = None, split: str | None = None, scene: str = ALL, class_: str = ALL
) -> list[Run]:
    """The runs of a command, on a split, that have numbers of a scene and of a class."""
    return [
        run
        for run in runs
        if (command is None or run.command == command)
        and (split is None or split in run.split.split())
        and ((scene, class_) == (ALL, ALL) or any((one.scene, one.class_) == (scene, class_) for one in run.metrics))
    ]


def check_names(
    runs: Sequence[Run],
    *,
    command: str | None = None,
    split: str | None = None,
    scene: str = ALL,
    class_: str = ALL,
    metric: str | None = None,
) -> None:
    """Check that what is asked for is there at all, in the words of the options of `streamtrack runs list`.

    Args:
        runs: all of the store, with the numbers of scenes if one is asked for.
        command, split, scene, class_: see `selected`.
        metric: of that scene and class.

    Raises:
        InputError: no run has such a name.
    """
    numbers = [one for run in runs for one in run.metrics]
    _check_name("of", command, {run.command for run in runs})
    _check_name("split", split, {name for run in runs for name in run.split.split()})
    _check_name("scene", scene or None, {one.scene for one in numbers} - {ALL})
    _check_name("class", class_ or None, {one.class_ for one in numbers} - {ALL})
    _check_name("metric", metric, {one.name for one in numbers if (one.scene, one.class_) == (scene, class_)})


def _check_name(option: str, name: str | None, known: Set[str]) -> None:
    if name is None or name in known:
        return
    if not known:
        raise InputError(f"--{option} {shown(name)}: no run has any")
    raise InputError(f"--{option} {unknown_name(name, sorted(known))}")


def runs_table(
    runs: Sequence[Run], *, scene: str = ALL, class_: str = ALL, error: str | None = None, metric: str | None = None
) -> str:
    """One row a run.

    Args:
        runs: what to show, in order; with `error` those that make the fewest come first.
        scene, class_: whose numbers to show.
        error: one of `ERRORS`.
        metric: one to show besides the usual ones.
    """
    if error is not None:
        known = [run for run in runs if run.value(ERRORS[error], class_, scene) is not None]
        runs = sorted(known, key=lambda run: run.value(ERRORS[error], class_, scene) or 0.0)
    usual = [
        name for command, names in COLUMNS.items() if any(run.command == command for run in runs) for name in names
    ]
    names = list(dict.fromkeys([*([metric] if metric else []), *usual]))
    if class_ != ALL and any(run.command == "evaluate detection" for run in runs):
        names = ["ap", *(name for name in names if name not in ("nd_score", "mean_ap"))]
    present = [name for name in names if any(run.value(name, class_, scene) is not None for run in runs)]
    rows = [
        [str(run.number), run.created[:16], run.command, run.name, run.split]
        + [_cell(name, run.value(name, class_, scene)) for name in present]
        for run in runs
    ]
    return text_table(["run", "ended", "command", "results", "on", *present], rows)


def write_leaderboard(path: Path, runs: Sequence[Run]) -> None:
    """Write the page, whole or not at all: for each split and task its runs, the best first. It needs no other file."""
    parts = ["<h1>Leaderboard</h1>"]
    for command, names in COLUMNS.items():
        for split in sorted({run.split for run in runs if run.command == command}):
            ranked = [run for run in runs if (run.command, run.split) == (command, split)]
            ranked.sort(key=lambda run: -(run.value(names[0]) or 0.0))  # used within the loop
            title = f"{command.removeprefix('evaluate ').capitalize()} on {split}"
            parts += [f"<h2>{html.escape(title)}</h2>", _table(ranked, names, path.parent)]
    body = "\n".join(parts)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboard</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )
    write_atomically(path, page.encode())


def _table(runs: Sequence[Run], names: Sequence[str], folder: Path) -> str:
    header = "".join(f"<th>{html.escape(name)}</th>" for name in ("run", "results", "ended", *names, "pages"))
    rows = []
    for run in runs:
        cells = [str(run.number), run.name, run.created[:16], *(_cell(name, run.value(name)) for name in names)]
        links = " ".join(
            f'<a href="{quote(os.path.relpath(page, folder))}">{html.escape(name)}</a>'
            for name, page in run.outputs.items()
            if page.endswith(".html")
        )
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + f"<td>{links}</td></tr>")
    return f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if name in _COUNTED else f"{value:.4f}"
