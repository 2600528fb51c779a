"""The tracking numbers in README.md and docs/tracking.md are those that the tools give."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation import evaluate_tracking

ROOT = Path(__file__).resolve().parents[2]
SPLIT = ("v1.0-mini", "mini_val")
DETECTORS = {"FastBEV": "fastbev", "CC-3DT": "cc_3dt"}
TOLERANCE = 0.005
SWITCHES = 3
"""Identity switches by which a table may be off: they move with rounding more than AMOTA does."""


def rows_of(page: str, first_header: str) -> list[list[str]]:
    """The cells of the Markdown table on a page whose header begins with a word, header first."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def amota_and_switches(cell: str) -> tuple[float, int]:
    """Of a cell like `**0.589** (36)`."""
    found = re.fullmatch(r"\*{0,2}(0\.\d{3})\*{0,2} \((\d+)\)", cell)
    assert found, f"no AMOTA and switches: {cell}"
    return float(found[1]), int(found[2])


@pytest.fixture
def tracked(run, shared: Path, mini_val: Path, tmp_path: Path) -> Callable[..., tuple[float, int]]:
    """AMOTA and identity switches of a detector's boxes, tracked by the tool with some options."""

    def measure(detector: str, *options: object) -> tuple[float, int]:
        out = tmp_path / "tracks.json"
        data = ("--dataroot", mini_val, "--version", SPLIT[0], "--split", SPLIT[1])
        code, _, err = run(
            "track.py", shared / "detections" / f"{detector}.json", *data, *options, "--workers", 1, "--out", out
        )
        assert code == 0, err
        summary = evaluate_tracking(out, mini_val, *SPLIT).summary
        return summary["amota"], int(summary["ids"])

    return measure


def test_the_readme_states_what_the_tracker_reaches(tracked) -> None:
    header, *rows = rows_of("README.md", "detections")
    assert header[-1] == "StreamTrack" and len(rows) == len(DETECTORS)
    for row in rows:
        amota, switches = amota_and_switches(row[-1])
        measured = tracked(DETECTORS[row[0].split(" ")[0]])
        assert measured == (pytest.approx(amota, abs=TOLERANCE), pytest.approx(switches, abs=SWITCHES)), row[0]


def test_the_readme_states_what_other_trackers_reached(shared: Path) -> None:
    header, *rows = rows_of("README.md", "detections")
    recorded = {"CenterPoint's greedy tracker": "tracks_centerpoint", "Poly-MOT": "tracks_polymot"}
    folders = {"FastBEV": "fastbev", "CC-3DT": "cc3dt"}
    for row in rows:
        for name, file in recorded.items():
            path = shared / "expected" / folders[row[0].split(" ")[0]] / f"{file}.metrics_summary.json"
            summary = json.loads(path.read_text())
            amota, switches = amota_and_switches(row[header.index(name)])
            assert (round(summary["amota"], 3), summary["ids"]) == (amota, switches), (row[0], name)


@pytest.mark.parametrize("row", rows_of("docs/tracking.md", "preset")[1:], ids=lambda row: row[0].strip("`"))
def test_the_page_of_the_tracker_states_what_each_preset_reaches(row: list[str], tracked) -> None:
    header = rows_of("docs/tracking.md", "preset")[0]
    name, *flags = row[0].strip("`").split()
    for column, detector in DETECTORS.items():
        (cell,) = (row[index] for index, title in enumerate(header) if column in title)
        amota, switches = amota_and_switches(cell)
        measured = tracked(detector, "--config", ROOT / "configs" / "tracking" / f"{name}.py", *flags)
        assert measured == (pytest.approx(amota, abs=TOLERANCE), pytest.approx(switches, abs=SWITCHES)), column
