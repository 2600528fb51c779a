"""Puts pages together: a template of `page/`, its style and scripts, and data as JSON, in one file."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import msgspec


def assemble_page(
    template: str, style: str, scripts: Sequence[str], title: str, data: Mapping[str, Any], connects_to: str = "'none'"
) -> bytes:
    """A self-contained page.

    Args:
        template, style, scripts: names of files in `page/`.
        title: of the window; may hold any characters.
        data: what the scripts read, made of JSON's types.
        connects_to: what the scripts may connect to, in the words of a Content-Security-Policy's `connect-src`.
    """
    filled = Template(_part(template)).substitute(
        title=html.escape(title),
        style=_part(style),
        script='"use strict";\n' + "\n".join(_part(script) for script in scripts),
        data=_json_for_html(data),
        connects_to=connects_to,
    )
    return filled.encode("utf-8")


def _part(name: str) -> str:
    return (files("visualization") / "page" / name).read_text(encoding="utf-8")


def _json_for_html(data: Mapping[str, Any]) -> str:
    """JSON that may stand in a <script>: no name or token in it can end the script or open a comment."""
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")
