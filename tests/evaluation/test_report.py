"""Reports hold the numbers, stand alone, and are safe to open."""

import json
import re
from html.parser import HTMLParser

import pytest

from evaluation import Evaluation, compare, figures, report_detection, report_tracking
from evaluation.report import html_report, markdown_report


class Tags(HTMLParser):
    """Collects what a page refers to, and checks that tables are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open_tables = 0
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.references += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        self.open_tables += tag == "table"
        self.scripts += tag == "script"

    def handle_endtag(self, tag) -> None:
        self.open_tables -= tag == "table"


@pytest.fixture
def where(mini_val) -> tuple:
    return mini_val, "v1.0-mini", "mini_val"


def test_tracking_report(recorded, where, tmp_path) -> None:
    path, expected = recorded("fastbev", "tracks_polymot")
    report_tracking(path, *where, tmp_path)
    page = (tmp_path / "report.html").read_text()
    tags = Tags(page)
    assert all(reference.startswith("#") for reference in tags.references)
    assert tags.open_tables == 0 and tags.scripts == 0
    assert f"<b>{expected.summary['amota']:.3f}</b>" in page
    assert page.count("<svg") == 4
    table = (tmp_path / "report.md").read_text()
    assert f"| all | {expected.summary['amota']:.3f} | {expected.summary['amotp']:.3f} |" in table
    analysis = json.loads((tmp_path / "analysis.json").read_text())
    assert analysis["worst_tracks"][0]["scene"] in page
    assert {"metrics_summary.json", "metrics_details.json"} < {entry.name for entry in tmp_path.iterdir()}


def test_detection_report(recorded, where, tmp_path) -> None:
    path, expected = recorded("fastbev", "detections")
    report_detection(path, *where, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert f"NDS <b>{expected.summary['nd_score']:.4f}</b>" in page
    assert page.count("<svg") == 4 and "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.S)


def test_names_are_escaped(recorded) -> None:
    _, evaluation = recorded("fastbev", "detections")
    hostile = Evaluation("detection", evaluation.summary, evaluation.details, ("<script>alert(1)</script>",))
    assert Tags(html_report(hostile, None, "<script>alert(2)</script>")).scripts == 0


def test_bars_of_nothing_are_drawn() -> None:
    """Of tracks of classes that nobody judges, such as traffic cones."""
    assert figures.oracle_bars({"none": float("nan")}).startswith("<svg")


def test_warnings_stand_in_the_reports(recorded) -> None:
    _, evaluation = recorded("fastbev", "detections")
    warned = Evaluation("detection", evaluation.summary, evaluation.details, ("half is missing",))
    assert "half is missing" in html_report(warned, None, "title")
    assert "> half is missing" in markdown_report(warned, "title")


def test_comparison_of_files(recorded, where) -> None:
    paths = [recorded("fastbev", name)[0] for name in ("tracks_centerpoint", "tracks_polymot")]
    table = compare("tracking", paths, *where)
    assert "tracks_centerpoint" in table and "tracks_polymot" in table
    assert re.search(r"AMOTA +0\.4084 +0\.5350 +\+0\.1266", table)
