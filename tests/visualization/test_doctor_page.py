"""The doctor's page: every finding with its picture, contact sheets of boxes in all cameras, and JSON."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from scenes.city import VERSION, make_city
from scenes.doctor import DataRoot, Diagnosis, Example, examine
from visualization.contact_sheet import draw_contact_sheet, draw_example, sheet_samples
from visualization.doctor_page import write_diagnosis
from visualization.mosaic import CELL_PX

from .test_player import HOSTILE, data_of


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("doctor") / "city"
    make_city(out, train_scenes=0, val_scenes=1, frames=4, image_size=(176, 99), seed=3, workers=1)
    return out


def changed(city: Path, root: Path, name: str, change) -> DataRoot:
    shutil.copytree(city, root)
    path = root / VERSION / f"{name}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
    return DataRoot(root, VERSION)


def float_boxes(rows) -> None:
    for row in rows[:6]:
        row["translation"][2] += 9.0


def test_the_page_holds_findings_and_sheets(city, tmp_path):
    root = changed(city, tmp_path / "root", "sample_annotation", float_boxes)
    diagnosis = examine(root)
    page, findings, sheet = write_diagnosis(root, diagnosis, tmp_path / "out")
    data = data_of(page)
    assert [entry["check"] for entry in data["findings"]] == [finding.check for finding in diagnosis.findings]
    floating = next(entry for entry in data["findings"] if entry["check"] == "box-floats")
    assert floating["picture"].startswith("data:image/jpeg;base64,")
    assert data["sheets"][0]["path"] == sheet.name
    assert msgspec.json.decode(findings.read_bytes(), type=Diagnosis) == diagnosis
    image = cv2.imread(str(sheet))
    assert image.shape == (3 * CELL_PX[1], 3 * CELL_PX[0], 3)


def test_a_box_to_look_at_is_red(city):
    root = DataRoot(city, VERSION)
    token = root.boxes.tokens[0]
    sample = root.samples.tokens[root.boxes.sample[0]]
    plain = draw_example(root, Example("", "", "", sample, channel="CAM_FRONT"))
    marked = draw_example(root, Example(token, "sample_annotation", "", sample, annotation_tokens=(token,)))
    assert plain is not None and marked is not None

    def red(image):
        near = np.abs(image.astype(int) - [255, 59, 48]).max(axis=2) < 12
        return int(near.sum())

    assert red(marked) > 20 > red(plain)
    assert draw_example(root, Example("", "", "", "no such sample", annotation_tokens=(token,))) is None
    assert draw_example(root, Example("", "", "", sample)) is None


def test_a_box_that_no_camera_sees_is_shown_from_above(city, tmp_path):
    def above(rows) -> None:
        rows[0]["translation"][2] += 400.0

    root = changed(city, tmp_path / "root", "sample_annotation", above)
    token = root.annotations_table[next(iter(root.annotations_table))].token
    sample = root.annotations_table[token].sample_token
    image = draw_example(root, Example(token, "sample_annotation", "", sample, annotation_tokens=(token,)))
    assert image is not None and image.shape == (CELL_PX[1], CELL_PX[0], 3)


@pytest.mark.parametrize("table", ["calibrated_sensor", "ego_pose", "sample_annotation"])
def test_sheets_are_drawn_of_what_is_there(city, tmp_path, table):
    root = changed(city, tmp_path / "root", table, lambda rows: rows.clear())
    for token in sheet_samples(root, 2):
        assert draw_contact_sheet(root, token).shape[2] == 3
    assert write_diagnosis(root, examine(root), tmp_path / "out")


def test_names_with_html_stay_names(city, tmp_path):
    root = changed(city, tmp_path / "root", "scene", lambda rows: rows[0].update(name=HOSTILE, log_token=HOSTILE))
    page, *_ = write_diagnosis(root, examine(root), tmp_path / "out")
    assert "<script>document" not in page.read_text()
    assert HOSTILE in data_of(page)["sheets"][0]["title"]


def test_the_page_in_a_browser(city, tmp_path, browser):
    root = changed(city, tmp_path / "root", "sample_annotation", float_boxes)
    diagnosis = examine(root)
    page, *_ = write_diagnosis(root, diagnosis, tmp_path / "out")
    browser.get(page.as_uri())
    WebDriverWait(browser, 20, 0.02).until(
        lambda _: browser.execute_script(
            "return document.body.dataset.ready && [...document.images].every((image) => image.complete)"
        )
    )
    articles = browser.find_elements(By.CSS_SELECTOR, "article.finding")
    assert [one.find_element(By.CSS_SELECTOR, ".badge").text for one in articles] == [
        finding.severity.value for finding in diagnosis.findings
    ]
    widths = browser.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert len(widths) >= 2 and min(widths) > 0
    decoded = base64.b64decode(data_of(page)["findings"][0]["picture"].split(",")[1])
    assert cv2.imdecode(np.frombuffer(decoded, np.uint8), cv2.IMREAD_COLOR) is not None
