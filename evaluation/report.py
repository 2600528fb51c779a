"""One self-contained HTML page, and a Markdown table, for an evaluation."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from evaluation import figures
from evaluation.evaluation import Evaluation
from evaluation.table import metrics_rows, number
from scenes import NUSCENES, Taxonomy
from scenes.files import write_atomically

_STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 1150px; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
table { display: block; overflow-x: auto }
th, td { padding: 3px 9px; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap }
th:first-child, td:first-child { text-align: left } tr.all td { font-weight: 600; border-top: 2px solid #ccc }
.figures { display: flex; flex-wrap: wrap; gap: 1rem } .figures svg { max-width: 100%; height: auto }
p.note { color: #666; font-size: 13px } p.warning { background: #fff4d6; padding: .4rem .8rem }
"""

_IDENTITY_TITLES = {"hota": "HOTA", "deta": "DetA", "assa": "AssA", "loca": "LocA", "idf1": "IDF1", "samota": "sAMOTA"}

_Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class ReportTable:
    """A table that the caller adds to the page.

    Attributes:
        title, note: above it.
        header, rows: its cells; the first column names the rows.
    """

    title: str
    note: str
    header: Sequence[str]
    rows: _Rows


def write_report(
    evaluation: Evaluation,
    analysis: Mapping[str, Any] | None,
    title: str,
    folder: Path | str,
    taxonomy: Taxonomy = NUSCENES,
    added: Sequence[ReportTable] = (),
) -> tuple[Path, Path]:
    """Write `report.html` and `report.md`, each whole or not at all, and return their paths.

    Args:
        evaluation: the official metrics.
        analysis: what `evaluation.analysis.track_analysis.analyse_tracks` found, or `analyse_detections` of
            `evaluation.analysis.detection_analysis`; None for none.
        title: what was evaluated.
        folder: where to write.
        taxonomy: the classes that were evaluated.
        added: tables that follow on the page.
    """
    page, table = Path(folder, "report.html"), Path(folder, "report.md")
    write_atomically(page, html_report(evaluation, analysis, title, taxonomy, added).encode())
    write_atomically(table, markdown_report(evaluation, title).encode())
    return page, table


def markdown_report(evaluation: Evaluation, title: str) -> str:
    """The metrics as a Markdown table."""
    header, rows = metrics_rows(evaluation)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    warnings = [f"> {warning}\n" for warning in evaluation.warnings]
    return "\n".join([f"# {title}\n", *warnings, *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"


def html_report(
    evaluation: Evaluation,
    analysis: Mapping[str, Any] | None,
    title: str,
    taxonomy: Taxonomy = NUSCENES,
    added: Sequence[ReportTable] = (),
) -> str:
    """The page: tables, curves and what the analysis found. It needs no other file and no network."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f'<p class="warning">{html.escape(warning)}</p>' for warning in evaluation.warnings]
    parts += [f"<p>{_headline(evaluation)}</p>", "<h2>Official metrics</h2>", _table(*metrics_rows(evaluation))]
    parts += ["<h2>Curves</h2>", _figures(_curves(evaluation, analysis, figures.class_colors(taxonomy)))]
    if analysis is not None:
        parts += _track_parts(analysis) if evaluation.task == "tracking" else _detection_parts(evaluation, analysis)
    for table in added:
        parts += [f"<h2>{html.escape(table.title)}</h2>", f'<p class="note">{html.escape(table.note)}</p>']
        parts.append(_table(table.header, table.rows))
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _headline(evaluation: Evaluation) -> str:
    summary = evaluation.summary
    if evaluation.task == "tracking":
        return f"AMOTA <b>{number(summary['amota'], 3)}</b>, AMOTP {number(summary['amotp'], 3)} m"
    return f"NDS <b>{number(summary['nd_score'], 4)}</b>, mAP {number(summary['mean_ap'], 4)}"


def _curves(evaluation: Evaluation, analysis: Mapping[str, Any] | None, colors: Mapping[str, str]) -> list[str]:
    if evaluation.task == "detection":
        distances_m = evaluation.summary["cfg"]["dist_ths"]
        return [figures.precision_recall_curves(evaluation.details, distance_m, colors) for distance_m in distances_m]
    curves = [figures.recall_curves(evaluation.details, metric, colors) for metric in ("mota", "motar")]
    return curves if analysis is None else [*curves, figures.calibration_curves(analysis["calibration"], colors)]


def _detection_parts(evaluation: Evaluation, analysis: Mapping[str, Any]) -> list[str]:
    aps = evaluation.summary["label_aps"]
    distances_m = list(next(iter(aps.values())))
    mean = {distance: fmean(of_class[distance] for of_class in aps.values()) for distance in distances_m}
    rows = [[name, *(number(ap, 3) for ap in of.values())] for name, of in {**aps, "all": mean}.items()]
    ranges = list(next(iter(analysis.values())))
    return [
        "<h2>By matching distance</h2>",
        '<p class="note">AP; a box is right if its centre is nearer than this to the annotation\'s.</p>',
        _table(["class", *(f"{distance} m" for distance in distances_m)], rows),
        "<h2>By range</h2>",
        '<p class="note">AP, the mean over matching distances, of what is annotated so far from the vehicle '
        "(annotated boxes).</p>",
        _table(["class", *ranges], [[name, *map(_range_cell, by.values())] for name, by in analysis.items()]),
    ]


def _range_cell(values: Mapping[str, Any]) -> str:
    return f"{number(values['mean_ap'], 3)} ({values['gt']})" if values["gt"] else "-"


def _track_parts(analysis: Mapping[str, Any]) -> list[str]:
    return [
        "<h2>Identities</h2>",
        _metric_table(analysis["identity"], 3, _IDENTITY_TITLES),
        "<h2>Where AMOTA is lost</h2>",
        '<p class="note">What AMOTA would gain if the errors of one kind, and no others, were mended.</p>',
        _figures([figures.oracle_bars(analysis["oracles"]["all"])]),
        '<p class="note">Errors at the threshold of the highest MOTA.</p>',
        _metric_table(analysis["errors"], 0),
        "<h2>Confusion</h2>",
        '<p class="note">False positives (rows) that lie on an annotation of another class (columns).</p>',
        _confusion_table(analysis["confusion"]),
        "<h2>Latency of birth</h2>",
        '<p class="note">Seconds from the first annotation of a track to its first match; never: share of tracks.</p>',
        _metric_table(analysis["birth_latency_s"], 2),
        *_breakdown_parts(analysis["breakdown"]),
        "<h2>Worst tracks</h2>",
        _worst_table(analysis["worst_tracks"]),
    ]


def _breakdown_parts(breakdown: Mapping[str, Any]) -> list[str]:
    titles = {"range_m": "By distance, m", "speed_mps": "By speed, m/s", "visibility": "By visibility"}
    parts = []
    for key, title in titles.items():
        names = [name for by_part in list(breakdown.values())[:1] for name in by_part[key]]
        rows = [
            [class_name, *(_breakdown_cell(by_part[key][name]) for name in names)]
            for class_name, by_part in breakdown.items()
        ]
        meaning = "Recall" if key == "visibility" else "Recall / MOTA"
        note = f'<p class="note">{meaning} (annotated boxes).</p>'
        parts += [f"<h2>{title}</h2>", note, _table(["class", *names], rows)]
    return parts


def _breakdown_cell(metrics: Mapping[str, float]) -> str:
    if not metrics["gt"]:
        return "-"
    values = [number(metrics[name], 2) for name in ("recall", "mota") if not math.isnan(metrics[name])]
    return f"{' / '.join(values)} ({metrics['gt']})"


def _metric_table(
    by_class: Mapping[str, Mapping[str, float]], decimals: int, titles: Mapping[str, str] | None = None
) -> str:
    names = list(next(iter(by_class.values()), {}))
    header = ["class", *((titles or {}).get(name, name) for name in names)]
    return _table(
        header, [[class_, *(number(values[name], decimals) for name in names)] for class_, values in by_class.items()]
    )


def _confusion_table(confusion: Mapping[str, Mapping[str, int]]) -> str:
    rows = [[name, *(str(confusion[name].get(other, "")) for other in confusion)] for name in confusion]
    return _table(["", *confusion], rows)


def _worst_table(worst: Sequence[Mapping[str, Any]]) -> str:
    header = ["scene", "time, s", "class", "track", "kind", "errors", "boxes"]
    return _table(
        header,
        [
            [
                track["scene"],
                f"{track['start_s']:.1f} to {track['end_s']:.1f}",
                track["class"],
                ("annotated " if track["is_annotated"] else "predicted ") + track["track_id"],
                track["kind"],
                str(track["errors"]),
                str(track["boxes"]),
            ]
            for track in worst
        ],
    )


def _table(header: Sequence[str], rows: _Rows) -> str:
    def line(cells: Iterable[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)

    body = "".join(f"<tr{_row_class(row)}>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{line(header, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def _row_class(row: Sequence[str]) -> str:
    return ' class="all"' if row[0] == "all" else ""


def _figures(drawings: Sequence[str]) -> str:
    return '<div class="figures">' + "".join(drawings) + "</div>"
