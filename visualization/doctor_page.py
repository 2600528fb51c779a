"""Writes what the doctor found: a page with pictures, contact sheets, and the findings as JSON."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

from scenes.doctor import DataRoot, Diagnosis, Finding, Severity
from scenes.files import write_atomically
from visualization.contact_sheet import draw_contact_sheet, draw_example, sheet_samples
from visualization.html_page import assemble_page
from visualization.images import encode_jpeg

_SHEETS: Final = 4
_SHEET_QUALITY: Final = 88
_PICTURE_QUALITY: Final = 82


def write_diagnosis(root: DataRoot, diagnosis: Diagnosis, out: Path) -> list[Path]:
    """Write `index.html`, `doctor.json` and `contact-sheet-<n>.jpg`, each whole or not at all.

    Args:
        root: the data root, for the pictures.
        diagnosis: what was found in it.
        out: folder to write to.

    Returns:
        the paths written, the page first.
    """
    page, findings = out / "index.html", out / "doctor.json"
    sheets = []
    for number, token in enumerate(sheet_samples(root, _SHEETS), start=1):
        path = out / f"contact-sheet-{number}.jpg"
        write_atomically(path, encode_jpeg(draw_contact_sheet(root, token), _SHEET_QUALITY))
        scene = root.scene_name(int(root.samples.scene[root.sample_index[token]]))
        sheets.append({"path": path.name, "title": f"{scene}, sample {token}"})
    write_atomically(findings, msgspec.json.format(msgspec.json.encode(diagnosis), indent=1))
    data = {
        "title": f"{diagnosis.dataroot}, {diagnosis.version}",
        "facts": facts(diagnosis),
        "findings": [_entry(root, finding) for finding in diagnosis.findings],
        "sheets": sheets,
    }
    write_atomically(page, assemble_page("doctor.html", "index.css", ["doctor.js"], f"Doctor: {out.name}", data))
    return [page, findings, *(out / sheet["path"] for sheet in sheets)]


def facts(diagnosis: Diagnosis) -> str:
    """What was looked at and how it stands, in one line."""
    counts = Counter(finding.severity for finding in diagnosis.findings)
    looked = (
        f"{diagnosis.scenes} scenes, {diagnosis.frames} key frames, {diagnosis.images} camera images, "
        f"{diagnosis.boxes} annotated boxes"
    )
    found = ", ".join(f"{counts[severity]} {severity.value}{'s' * (counts[severity] != 1)}" for severity in Severity)
    return f"{looked}: {found}"


def _entry(root: DataRoot, finding: Finding) -> dict[str, Any]:
    picture = draw_example(root, finding.example)
    encoded = None if picture is None else base64.b64encode(encode_jpeg(picture, _PICTURE_QUALITY)).decode()
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "count": f"{finding.count} of {finding.of}" if finding.of else str(finding.count),
        "what": finding.what,
        "example": finding.example.text,
        "where": f"{finding.example.table}: {finding.example.token}",
        "sample": finding.example.sample_token,
        "advice": finding.advice,
        "picture": encoded and f"data:image/jpeg;base64,{encoded}",
    }
