"""The page's server: frames over a WebSocket to those who have the token, and to nobody else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from scenes import NUSCENES, InputError
from streaming.journal import Journal
from streaming.sinks.page import PageSink

from .test_sinks import tracked

pytest.importorskip("websockets")
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect


@pytest.fixture
def page() -> Iterator[PageSink]:
    sink = PageSink("drive", NUSCENES, Journal(), lambda: 3, port=0, token="secret")
    yield sink
    sink.close()


def fetched(page: PageSink, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page.port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_nobody_sees_anything_without_the_token(page: PageSink) -> None:
    page.publish(tracked(["1"]))
    for path in ("/", "/?token=", "/?token=other", "/stream", "/?token=secret2"):
        status, text = fetched(page, path)
        assert status == 403 and "secret" not in text and "drive" not in text
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{page.port}/stream?token=other")
    assert page.address == f"http://127.0.0.1:{page.port}/?token=secret"


def test_there_is_the_page_alone(page: PageSink) -> None:
    assert fetched(page, "/other?token=secret")[0] == 404
    status, text = fetched(page, "/?token=secret")
    assert status == 200 and "No frame has been tracked yet" in text
    page.publish(tracked(["1", "2"]))
    status, text = fetched(page, "/?token=secret")
    assert status == 200 and "connect-src 'self'" in text
    data = json.loads(text.split('id="scene-data">')[1].split("</script>")[0])
    assert [track["id"] for track in data["tracks"]] == ["1", "2"] and len(data["frames"]) == 1


def test_frames_come_as_they_are_published(page: PageSink) -> None:
    page.publish(tracked(["1"]))
    with connect(f"ws://127.0.0.1:{page.port}/stream?token=secret") as stream:
        _wait_for_client(page)
        for index in (1, 2):
            page.publish(tracked(["1", "2"], index))
        messages = [json.loads(stream.recv(timeout=10)) for _ in range(2)]
    assert [message["frame"]["time"] for message in messages] == [0.1, 0.2]
    assert messages[0]["frame"]["cameras"][0]["image"].startswith("data:image/jpeg;base64,")
    assert messages[0]["frame"]["ego"]["position"] == [1.0, 0.0, 0.0]  # from where the first frame was
    assert messages[0]["tracks"][1]["boxes"][0][:3] == [20.0, 5.0, 0.8]  # where the images show it
    assert messages[0]["status"] == {"latency_ms": 30.0, "dropped": 3, "lines": []}


def test_a_browser_that_does_not_read_gets_the_newest(page: PageSink) -> None:
    with connect(f"ws://127.0.0.1:{page.port}/stream?token=secret") as stream:
        _wait_for_client(page)
        for index in range(60):
            page.publish(tracked(["1"], index))
        page.close()
        times = []
        with pytest.raises(ConnectionClosedOK):
            while True:
                times.append(json.loads(stream.recv(timeout=10))["frame"]["time"])
    assert times == sorted(times) and times[-1] == pytest.approx(5.9)


def test_a_port_that_is_taken(page: PageSink) -> None:
    with pytest.raises(InputError, match=rf"--port {page.port}: is taken; is a page served there already\?"):
        PageSink("drive", NUSCENES, Journal(), lambda: 0, port=page.port)
    with pytest.raises(InputError, match=r"--host 203\.0\.113\.1"):
        PageSink("drive", NUSCENES, Journal(), lambda: 0, host="203.0.113.1", port=0)


def _wait_for_client(page: PageSink) -> None:
    while not page.has_clients:
        pass
