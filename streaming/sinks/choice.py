"""`open_sinks`: what the command line asks for, opened together and closed however the run ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenes import Taxonomy
from streaming.journal import Journal
from streaming.output import Sink
from streaming.sinks.json_lines import JsonLinesSink
from streaming.sinks.mcap import McapSink
from streaming.sinks.page import LOCALHOST, PORT, PageSink
from streaming.sinks.rerun import RerunSink
from streaming.sinks.ros2 import Ros2Sink

_logger = logging.getLogger("streaming")


@dataclass(frozen=True)
class SinkOptions:
    """Where tracks go.

    Attributes:
        page: whether the page is served, at `host` and `port`, behind `token`, see `PageSink`.
        json_lines: file, `-` for stdout; `append` goes on in it.
        mcap: file.
        rerun: file, or address of a viewer.
        ros2: a key of `streaming.sinks.ros2.KINDS`.
    """

    page: bool = False
    host: str = LOCALHOST
    port: int = PORT
    token: str | None = None
    json_lines: Path | None = None
    append: bool = False
    mcap: Path | None = None
    rerun: str | None = None
    ros2: str | None = None


@contextmanager
def open_sinks(
    options: SinkOptions, title: str, taxonomy: Taxonomy, journal: Journal, dropped: Callable[[], int]
) -> Iterator[list[Sink]]:
    """The sinks, until the block ends.

    Args:
        options: which.
        title, taxonomy, journal, dropped: see `PageSink`.

    Raises:
        InputError: a port is taken, or a package of a sink is missing.
        OSError: a file cannot be written.
    """
    sinks: list[Sink] = []
    with ExitStack() as closing:

        def add(sink: Sink) -> None:
            closing.callback(sink.close)
            sinks.append(sink)

        if options.page:
            page = PageSink(title, taxonomy, journal, dropped, options.host, options.port, options.token)
            _logger.info("page: %s", page.address)  # the page itself does not show it, nor its token
            add(page)
        if options.ros2 is not None:
            add(Ros2Sink(options.ros2, taxonomy))
        if options.rerun is not None:
            add(RerunSink(options.rerun, taxonomy))
        if options.mcap is not None:
            add(McapSink(options.mcap, taxonomy))
        if options.json_lines is not None:
            add(JsonLinesSink(options.json_lines, taxonomy, options.append))
        yield sinks
