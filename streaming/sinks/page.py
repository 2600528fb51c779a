"""The live page: a small server that gives the page and streams frames to it over a WebSocket.

It listens on this machine alone unless told otherwise, and answers nobody without the token in its address. Needs the
extra `live` (websockets).
"""

from __future__ import annotations

import errno
import hmac
import logging
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from scenes import InputError, Taxonomy
from streaming.channel import Channel
from streaming.journal import Journal
from streaming.output import TrackedStep
from visualization.live_page import LivePage, LiveStatus

LOCALHOST: Final = "127.0.0.1"
PORT: Final = 8765

_WAITING_FRAMES: Final = 4
"""Frames that wait for a slow browser; older ones are left out."""

_OPEN_TIMEOUT_S: Final = 3.0
"""Browsers open connections that they may never use; the end of a run waits for them no longer."""
_CLOSE_TIMEOUT_S: Final = 1.0

_NOT_YET: Final = (
    b'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>live</title>'
    b"<p>No frame has been tracked yet.</p>"
)


class PageSink:
    """Serves the page of a run to any number of browsers.

    Args:
        title: of the page.
        taxonomy: the classes of the boxes.
        journal: whose last lines the page shows.
        dropped: gives the number of steps that were dropped so far.
        host, port: where it listens; port 0 takes any that is free.
        token: without which nothing is answered; None makes one up.

    Raises:
        InputError: the port is taken, or this machine has no such address.
        ModuleNotFoundError: websockets is not installed.
    """

    def __init__(
        self,
        title: str,
        taxonomy: Taxonomy,
        journal: Journal,
        dropped: Callable[[], int],
        host: str = LOCALHOST,
        port: int = PORT,
        token: str | None = None,
    ) -> None:
        from websockets.sync.server import serve

        self._title = title
        self._taxonomy = taxonomy
        self._journal = journal
        self._dropped = dropped
        self._token = token or secrets.token_urlsafe(16)
        self._session = secrets.token_hex(8)
        self._page: LivePage | None = None
        self._last: TrackedStep | None = None
        self._clients: set[Channel[str]] = set()
        self._lock = threading.Condition()
        quiet = logging.getLogger("streaming.page")
        quiet.setLevel(logging.CRITICAL)  # browsers that leave are no news
        try:
            self._server = serve(
                self._stream,
                host,
                port,
                process_request=self._answer,
                logger=quiet,
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
            )
        except OSError as error:
            raise InputError(_why_not(error, host, port)) from None
        self._host, self.port = host, int(self._server.socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What a browser opens."""
        return f"http://{self._host}:{self.port}/?token={self._token}"

    @property
    def has_clients(self) -> bool:
        """Whether any browser follows."""
        return bool(self._clients)

    def publish(self, step: TrackedStep) -> None:
        with self._lock:
            if self._page is None:
                self._page = LivePage(self._title, self._taxonomy, step.frame, self._session)
            self._last = step
            clients = list(self._clients)
        if clients:
            text = msgspec.json.encode(self._message(self._page, step)).decode()
            for client in clients:
                client.put(text)

    def close(self) -> None:
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.close()
        with self._lock:  # the server cuts off what waits for browsers: give them time to take the newest
            self._lock.wait_for(lambda: not self._clients, _CLOSE_TIMEOUT_S)
        self._server.shutdown()
        self._thread.join()

    def _message(self, page: LivePage, step: TrackedStep) -> dict[str, Any]:
        status = LiveStatus(1e3 * step.latency_s, self._dropped(), list(self._journal.lines)[-8:])
        return page.message(step.frame, step.seen, step.images, status)

    def _answer(self, connection: Any, request: Any) -> Any:
        """Answer a request for the page; None lets a WebSocket through."""
        address = urlsplit(request.path)
        if address.path == "/favicon.ico":  # which browsers ask for by themselves, without the token
            return connection.respond(204, "")
        given = parse_qs(address.query).get("token", [""])[0]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return connection.respond(403, "the address lacks the token that the run has printed\n")
        if address.path == "/stream":
            return None
        if address.path != "/":
            return connection.respond(404, "there is the page alone\n")
        with self._lock:
            page, last = self._page, self._last
        content = _NOT_YET if page is None or last is None else page.page(self._message(page, last))
        response = connection.respond(200, "")
        response.body = content
        del response.headers["Content-Type"], response.headers["Content-Length"]
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        response.headers["Content-Length"] = str(len(content))
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def _stream(self, connection: Any) -> None:
        """Send frames to a browser until it leaves or the run ends."""
        from websockets.exceptions import ConnectionClosed

        waiting: Channel[str] = Channel(_WAITING_FRAMES, waits=False)
        with self._lock:
            self._clients.add(waiting)
        try:
            with suppress(ConnectionClosed):
                for text in waiting:
                    connection.send(text)
        finally:
            with self._lock:
                self._clients.discard(waiting)
                self._lock.notify_all()


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port}: is taken; is a page served there already?"
    return f"--host {host} --port {port}: {error.strerror or error}"
