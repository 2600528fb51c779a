"""The page in a real browser: plays, steps, selects, follows links, shows what the file holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import Select, WebDriverWait

from scenes import Boxes3D, Results, Scene, read_detections, read_scenes, read_tracks
from visualization import WorstTrack, identity_color, write_index, write_pages, write_scene_page
from visualization.colors import rgb

from .conftest import FRAMES, boxes_at
from .test_player import HOSTILE

AHEAD, LEFT = (15.0, 0.0), (5.0, 12.0)


def seen(browser: WebDriver, key: str) -> str:
    return browser.execute_script(f"return document.body.dataset.{key}")


def wait_for(browser: WebDriver, key: str, value: object) -> None:
    WebDriverWait(browser, 20, 0.02).until(
        lambda _: seen(browser, key) == str(value), f"{key} became {seen(browser, key)}, not {value}"
    )


def press(browser: WebDriver, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


@pytest.fixture
def open_page(browser: WebDriver, tmp_path: Path) -> Callable[..., WebDriver]:
    def open_(scene: Scene, tracks: Results, fragment: str = "", detections: Results | None = None) -> WebDriver:
        path = tmp_path / "pages" / "page.html"
        write_scene_page(scene, tracks, path, detections=detections)
        browser.get(path.as_uri() + fragment)
        WebDriverWait(browser, 20, 0.02).until(lambda _: seen(browser, "frame") is not None)
        return browser

    return open_


def switching(scene: Scene) -> Results:
    """The car ahead changes its track in frame 2; the car on the left is never found; a stray box in frame 1."""
    per_frame = [boxes_at([AHEAD], [identity]) for identity in ("1", "1", "2", "2")]
    per_frame[1] = Boxes3D.concatenate([per_frame[1], boxes_at([(30.0, -8.0)], ["stray"])])
    return Results(dict(zip(scene.sample_tokens, per_frame, strict=True)))


def test_every_frame_shows_as_many_boxes_as_the_file(open_page, mini_val, shared):
    scene = read_scenes(mini_val, "v1.0-mini", "mini_val")[0]
    tracks = read_tracks(shared / "expected" / "fastbev" / "tracks_polymot.json")
    detections = read_detections(shared / "detections" / "fastbev.json")
    browser = open_page(scene, tracks, detections=detections)
    browser.find_element(By.ID, "show-weak").click()
    browser.find_element(By.ID, "show-detections").click()
    browser.find_element(By.ID, "show-annotations").click()
    wait_for(browser, "annotations", len(scene.frames[0].annotations.boxes))
    for index, frame in enumerate(scene.frames):
        wait_for(browser, "frame", index)
        assert seen(browser, "tracks") == str(len(tracks.boxes[frame.token]))
        assert seen(browser, "detections") == str(len(detections.boxes[frame.token]))
        assert seen(browser, "annotations") == str(len(frame.annotations.boxes))
        press(browser, Keys.ARROW_RIGHT)


def test_plays_to_the_end_and_again(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    Select(browser.find_element(By.ID, "speed")).select_by_value("5")
    for _ in range(2):
        # In one call, since a busy machine may play to the end before the next.
        play = "const play = document.getElementById('play'); play.click(); return play.textContent"
        assert browser.execute_script(play) == "Pause"
        wait_for(browser, "frame", FRAMES - 1)
        wait_for(browser, "playing", "false")


def test_pauses(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    press(browser, " ")
    wait_for(browser, "playing", "true")
    press(browser, " ")
    wait_for(browser, "playing", "false")
    assert int(seen(browser, "frame")) < FRAMES - 1


def test_steps_by_keys_and_buttons(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    for keys, frame in [
        (Keys.ARROW_LEFT, 0),
        (Keys.ARROW_RIGHT, 1),
        (Keys.END, FRAMES - 1),
        (Keys.ARROW_RIGHT, FRAMES - 1),
        (Keys.HOME, 0),
    ]:
        press(browser, keys)
        wait_for(browser, "frame", frame)
    browser.find_element(By.ID, "step-forward").click()
    wait_for(browser, "frame", 1)
    browser.find_element(By.ID, "step-back").click()
    wait_for(browser, "frame", 0)


def test_scrubs(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    browser.find_element(By.ID, "scrub").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    wait_for(browser, "frame", 2)
    lanes = browser.find_element(By.ID, "lanes")
    ActionChains(browser).move_to_element_with_offset(lanes, lanes.size["width"] // 2 - 20, 0).click().perform()
    wait_for(browser, "frame", FRAMES - 1)


def test_a_click_on_a_box_selects_its_track(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    view = browser.find_element(By.ID, "birds-eye")
    pixels_per_m = min(view.size["width"], view.size["height"]) / 80
    ActionChains(browser).move_to_element_with_offset(view, 0, -round(15 * pixels_per_m)).click().perform()
    wait_for(browser, "selected", "1")
    assert "Track 1" in browser.find_element(By.ID, "inspector").text
    assert "car" in browser.find_element(By.ID, "inspector").text
    ActionChains(browser).move_to_element_with_offset(view, 40, 200).click().perform()
    wait_for(browser, "selected", "")


def test_a_click_in_a_camera_selects_the_track(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    camera = browser.find_element(By.CSS_SELECTOR, '[data-camera="CAM_FRONT"] canvas')
    ActionChains(browser).move_to_element_with_offset(camera, 0, 10).click().perform()
    wait_for(browser, "selected", "1")


def test_rows_and_arrows_select_tracks(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    press(browser, Keys.ARROW_DOWN)
    wait_for(browser, "selected", "1")
    press(browser, Keys.ARROW_DOWN)
    wait_for(browser, "selected", "2")
    press(browser, Keys.ESCAPE)
    wait_for(browser, "selected", "")
    rows = browser.find_element(By.ID, "row-canvas")
    left, top = -rows.size["width"] // 2 + 20, -rows.size["height"] // 2
    ActionChains(browser).move_to_element_with_offset(rows, left, top + 22).click().perform()
    wait_for(browser, "selected", "2")


def test_a_link_opens_time_and_track(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks, "#time=1.1&track=2")
    wait_for(browser, "frame", 2)
    wait_for(browser, "selected", "2")
    browser.execute_script("location.hash = 'sample=sample-3&track=1'")
    wait_for(browser, "frame", 3)
    wait_for(browser, "selected", "1")
    # The address always tells what is shown.
    press(browser, Keys.HOME)
    wait_for(browser, "frame", 0)
    assert browser.execute_script("return location.hash") == "#time=0.00&track=1"


def test_a_link_to_nothing_opens_the_start(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks, "#time=x&track=nobody")
    wait_for(browser, "frame", 0)
    wait_for(browser, "selected", "")


def test_buttons_find_switches_misses_and_false_positives(open_page, small_scene):
    browser = open_page(small_scene, switching(small_scene))
    browser.find_element(By.ID, "next-switch").click()
    wait_for(browser, "frame", 2)
    wait_for(browser, "selected", "2")
    press(browser, Keys.HOME, "f")
    wait_for(browser, "frame", 1)
    wait_for(browser, "selected", "stray")
    press(browser, Keys.HOME, "m")
    wait_for(browser, "selected", "gt-left")
    wait_for(browser, "frame", 0)
    press(browser, "m")
    wait_for(browser, "frame", 1)
    browser.find_element(By.ID, "previous-miss").click()
    wait_for(browser, "frame", 0)


def test_filters_hide_boxes(open_page, small_scene):
    mixed = Boxes3D.concatenate([boxes_at([AHEAD], ["1"], score=0.9), boxes_at([LEFT], ["2"], score=0.2)])
    mixed = mixed.replace(label=np.array([0, 8]))
    browser = open_page(small_scene, Results(dict.fromkeys(small_scene.sample_tokens, mixed)))
    # No pedestrian is annotated, so none counts.
    wait_for(browser, "tracks", 1)
    press(browser, "w")
    wait_for(browser, "tracks", 2)
    browser.find_element(By.ID, "min-score").send_keys(Keys.ARROW_RIGHT * 25)
    wait_for(browser, "tracks", 1)
    browser.find_element(By.ID, "min-score").send_keys(Keys.HOME)
    Select(browser.find_element(By.ID, "class-filter")).select_by_visible_text("pedestrian")
    wait_for(browser, "tracks", 1)
    browser.execute_script("document.activeElement.blur()")
    press(browser, "t")
    wait_for(browser, "tracks", 0)


def test_a_link_to_a_track_too_low_to_count_shows_it(open_page, small_scene):
    weak = boxes_at([AHEAD], ["1"]).replace(label=np.array([8]))
    browser = open_page(small_scene, Results(dict.fromkeys(small_scene.sample_tokens, weak)), "#track=1")
    wait_for(browser, "selected", "1")
    wait_for(browser, "tracks", 1)
    assert browser.find_element(By.ID, "show-weak").is_selected()


def pixels(browser: WebDriver, canvas: str) -> np.ndarray:
    script = f"""const c = document.querySelector({canvas!r});
        return [c.width, c.height, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)];"""
    width, height, values = browser.execute_script(script)
    return np.array(values, dtype=np.uint8).reshape(height, width, 4)[:, :, :3]


@pytest.mark.parametrize("canvas", ["#birds-eye", '[data-camera="CAM_FRONT"] canvas'])
def test_a_box_is_drawn_in_the_colour_of_its_identity(open_page, small_scene, small_tracks, canvas):
    browser = open_page(small_scene, small_tracks, "#track=1")
    wait_for(browser, "selected", "1")
    shown = pixels(browser, canvas)
    distance = np.abs(shown.astype(int) - rgb(identity_color("1"))).max(axis=2)
    assert (distance < 12).sum() > 30
    # The car stands ahead: its colour is in the middle third, and in the bird's-eye view above the middle.
    _, columns = np.nonzero(distance < 12)
    assert abs(float(np.median(columns)) / shown.shape[1] - 0.5) < 0.1


def test_colours_by_class_and_score(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    before = pixels(browser, "#birds-eye")
    press(browser, "c")
    WebDriverWait(browser, 20, 0.05).until(lambda _: (pixels(browser, "#birds-eye") != before).any())
    assert Select(browser.find_element(By.ID, "color-by")).first_selected_option.text == "class"


def test_a_camera_becomes_large_and_small_again(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    camera = browser.find_element(By.CSS_SELECTOR, '[data-camera="CAM_FRONT"]')
    width = camera.size["width"]
    press(browser, "2")
    WebDriverWait(browser, 20, 0.05).until(lambda _: camera.size["width"] > 2 * width)
    press(browser, "2")
    WebDriverWait(browser, 20, 0.05).until(lambda _: camera.size["width"] == width)


def test_hostile_names_are_text(open_page, small_scene):
    scene = replace(small_scene, name=HOSTILE)
    browser = open_page(scene, Results({token: boxes_at([AHEAD], [HOSTILE]) for token in scene.sample_tokens}))
    press(browser, Keys.ARROW_DOWN)
    wait_for(browser, "selected", HOSTILE)
    assert browser.find_element(By.ID, "scene-name").text == HOSTILE
    assert browser.title == f"{HOSTILE} - tracks"


def test_an_empty_scene(open_page, small_scene):
    scene = replace(
        small_scene, frames=tuple(replace(frame, cameras=(), annotations=None) for frame in small_scene.frames)
    )
    browser = open_page(scene, Results({}))
    wait_for(browser, "tracks", 0)
    press(browser, Keys.END, "s", "m", "f", Keys.ARROW_DOWN)
    wait_for(browser, "frame", FRAMES - 1)
    assert "no tracks" in browser.find_element(By.ID, "inspector").text


def test_two_thousand_boxes_in_a_frame(open_page, small_scene):
    places = np.random.default_rng(0).uniform(-50, 50, (2000, 2))
    crowd = boxes_at([tuple(place) for place in places], [str(i) for i in range(2000)])
    browser = open_page(small_scene, Results(dict.fromkeys(small_scene.sample_tokens, crowd)))
    press(browser, "w")
    press(browser, Keys.ARROW_RIGHT)
    wait_for(browser, "frame", 1)
    assert seen(browser, "tracks") == "2000"


def test_missing_images_show_their_names(open_page, small_scene, small_tracks):
    small_scene.frames[0].cameras[0].image_path.unlink()
    browser = open_page(small_scene, small_tracks)
    shown = pixels(browser, '[data-camera="CAM_FRONT"] canvas')
    # The grey of a missing image, not the grey 90 of the images of this scene.
    assert (shown[shown.shape[0] // 4] == 0x46).all(axis=1).mean() > 0.9


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(open_page, small_scene, small_tracks):
    browser = open_page(small_scene, small_tracks)
    controls = browser.find_elements(By.CSS_SELECTOR, "button, input, select")
    assert len(controls) > 25
    shown = [control for control in controls if control.is_displayed()]
    nameless = [control.get_attribute("outerHTML") for control in shown if not control.accessible_name]
    assert nameless == []
    assert browser.execute_script("return document.querySelectorAll('[tabindex=\"-1\"]').length") == 0


def test_the_list_of_scenes_leads_to_their_pages(browser, small_scene, small_tracks, tmp_path):
    other = replace(small_scene, name="scene-b")
    reports = list(write_pages([small_scene, other], small_tracks, tmp_path))
    worst = WorstTrack("scene-b", "car", "gt-left", True, "miss", 4, 4, "sample-2", 1.0, 1.5)
    elsewhere = WorstTrack("scene-z", "car", "9", False, "miss", 4, 4, "sample-2", 1.0, 1.5)
    write_index(tmp_path / "index.html", reports, "tracks.json", {"amota": 0.5}, worst_tracks=[worst, elsewhere])
    browser.get((tmp_path / "index.html").as_uri())
    names = [link.text for link in browser.find_elements(By.CSS_SELECTOR, "#scenes a")]
    assert names == ["scene-a", "scene-b"]
    assert "0.500" in browser.find_element(By.ID, "metrics").text
    heads = browser.find_elements(By.CSS_SELECTOR, "thead button")
    heads[0].click()
    browser.find_elements(By.CSS_SELECTOR, "thead button")[0].click()
    assert [link.text for link in browser.find_elements(By.CSS_SELECTOR, "#scenes a")] == ["scene-b", "scene-a"]
    browser.find_element(By.LINK_TEXT, "scene-b").click()
    wait_for(browser, "frame", 0)
    assert browser.find_element(By.ID, "scene-name").text == "scene-b"
    browser.find_element(By.ID, "index-link").click()
    assert browser.current_url.endswith("index.html")
    links = browser.find_elements(By.CSS_SELECTOR, "#worst-tracks a")
    assert [link.text for link in links] == ["annotation gt-left"]
    links[0].click()
    wait_for(browser, "frame", 2)
    wait_for(browser, "selected", "gt-left")
