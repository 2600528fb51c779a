"""The live page in a real browser: it follows, pauses, goes back, forgets what is old, and finds its run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from scenes import NUSCENES, Results, Scene
from streaming.journal import Journal
from streaming.output import TrackedStep
from streaming.sinks.page import PageSink

from .conftest import boxes_at
from .test_player_in_browser import press, seen, wait_for

pytest.importorskip("websockets")

Publish = Callable[..., None]


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def page(journal: Journal) -> Iterator[PageSink]:
    sink = PageSink("drive", NUSCENES, journal, lambda: 2, port=0)
    yield sink
    sink.close()


@pytest.fixture
def publish(page: PageSink, small_scene: Scene, small_tracks: Results) -> Publish:
    """Publishes a step; frames of the small scene come again and again, ever later."""
    grey = np.full((450, 800, 3), 120, dtype=np.uint8)

    def publish_step(number: int, identities: tuple[str, ...] = ("1", "2")) -> None:
        frame = small_scene.frames[number % len(small_scene.frames)]
        frame = replace(frame, token=str(number), timestamp_us=1_000_000 + 100_000 * number)
        boxes = boxes_at([(15.0, 0.2), (5.0, 12.1)][: len(identities)], list(identities))
        images = {camera.name: grey for camera in frame.cameras}
        page.publish(TrackedStep("drive", frame, images, boxes, boxes, frame.timestamp_us, 0.123))

    return publish_step


@pytest.fixture
def open_page(browser: WebDriver, page: PageSink, publish: Publish) -> Iterator[WebDriver]:
    publish(0)
    browser.get(page.address)
    wait_for(browser, "connection", "open")
    WebDriverWait(browser, 20, 0.02).until(lambda _: page.has_clients)
    yield browser
    browser.get("about:blank")  # before the page is closed, which it would miss


def test_it_follows_and_shows_what_is_tracked(open_page: WebDriver, publish: Publish, journal: Journal) -> None:
    journal.fault("camera lost", "CAM_BACK", "no image in 3 steps")
    for number in range(1, 6):
        publish(number, ("1", "2") if number < 5 else ("1",))
        wait_for(open_page, "frame", number)
    wait_for(open_page, "tracks", 1)
    text = open_page.find_element(By.TAG_NAME, "body").text
    assert "live · 123 ms from image to track · 2 steps dropped" in text
    assert "CAM_BACK: no image in 3 steps" in text
    painted = open_page.execute_script(
        "const c = document.querySelector('[data-camera=CAM_FRONT] canvas');"
        "return c.getContext('2d').getImageData(c.width / 2, c.height - 30, 1, 1).data[0]"
    )
    assert abs(painted - 120) < 12  # the photograph


def test_it_pauses_and_looks_back(open_page: WebDriver, publish: Publish) -> None:
    for number in range(1, 4):
        publish(number)
    wait_for(open_page, "frame", 3)
    press(open_page, " ")
    wait_for(open_page, "playing", "false")
    publish(4)
    open_page.find_element(By.ID, "step-back").click()
    wait_for(open_page, "frame", 2)
    play = open_page.find_element(By.ID, "play")
    assert play.text == "Follow"
    play.click()
    wait_for(open_page, "frame", 4)
    publish(5)
    wait_for(open_page, "frame", 5)


def test_it_forgets_what_is_old(open_page: WebDriver, publish: Publish) -> None:
    """Frames, photographs and tracks: a page may stay open for days."""
    count = "return [scene.frames.length, scene.tracks.length, photos.size, scene.tracks[0].frames.length]"
    open_page.execute_script("select(scene.tracks.find(({ id }) => id === '1')); return null")
    script = (
        "const [first] = scene.frames;"
        "for (let n = 1; n < 600; n += 1) addFrame({ frame: { ...first, cameras: first.cameras.map((c) => ({ ...c })),"
        " time: n / 10 }, tracks: [{ ...structuredClone(rawTrack), id: `t${Math.floor(n / 100)}` }] });"
    )
    raw = (
        "const rawTrack = { label: 0, color: '#ffffff', score: 0.9, judged: true,"
        " boxes: [[1, 2, 1, 2, 4, 2, 1, 0, 0, 0, 0, 0, 0.9]], gaps: [], queries: [null], matches: [null],"
        " false_positives: [], switches: [], misses: [] };"
    )
    open_page.execute_script(raw + script + "return null")
    frames, tracks, photos, boxes = open_page.execute_script(count)
    assert 200 <= frames < 250 and tracks <= 4 and boxes <= 100
    assert photos <= 6 * frames
    assert seen(open_page, "selected") in ("", "1")
    publish(700)
    wait_for(open_page, "frame", frames)


def test_a_run_that_is_started_anew(open_page: WebDriver, page: PageSink, publish: Publish, small_scene: Scene) -> None:
    """The page tries until the run is back, and then shows that one from its beginning."""
    publish(1)
    wait_for(open_page, "frame", 1)
    token = page.address.partition("token=")[2]
    page.close()
    wait_for(open_page, "connection", "closed")
    again = PageSink("again", NUSCENES, Journal(), lambda: 0, port=page.port, token=token)
    try:
        frame = small_scene.frames[0]
        boxes = boxes_at([(15.0, 0.2)], ["9"])
        step = TrackedStep("again", frame, {}, boxes, boxes, frame.timestamp_us, 0.1)
        again.publish(step)
        WebDriverWait(open_page, 20, 0.02).until(lambda _: again.has_clients)
        again.publish(step)
        WebDriverWait(open_page, 20, 0.05).until(lambda driver: driver.title == "again - live")
        wait_for(open_page, "tracks", 1)
    finally:
        open_page.get("about:blank")
        open_page.get_log("browser")  # that nobody answered for a while
        again.close()
