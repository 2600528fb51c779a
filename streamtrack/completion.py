"""Completion in the shell: a script that knows the options of every tool."""

from __future__ import annotations

import argparse
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import shtab


class _ParserMadeError(Exception):
    """Carries a tool's parser out of its `main`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def completion_script(
    shell: str,
    parser: argparse.ArgumentParser,
    stand_ins: Mapping[str, argparse.ArgumentParser],
    tools: Mapping[str, Path],
) -> str:
    """The script that completes commands and options in a shell; a press of the tabulator starts no Python.

    Tools whose extra is not installed are completed by their name alone.

    Args:
        shell: bash, zsh or fish.
        parser: of `streamtrack`.
        stand_ins: the empty parsers in it, by the tools' names; they become the tools' own.
        tools: files by name.
    """
    for name, path in tools.items():
        found = tool_parser(path)
        if found is not None:
            _fill(stand_ins[name], found)
    script: str = shtab.complete(parser, shell=shell)
    return script


def tool_parser(path: Path) -> argparse.ArgumentParser | None:
    """The parser that a tool makes, or None where the tool cannot be imported."""

    def stop(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise _ParserMadeError(parser)

    try:
        tool = runpy.run_path(str(path), run_name="completion")
        with patch.object(argparse.ArgumentParser, "parse_args", stop):
            tool["main"]()
    except _ParserMadeError as made:
        return made.parser
    except ModuleNotFoundError:
        return None
    raise AssertionError(f"{path}: main() parses no arguments")


def _fill(stand_in: argparse.ArgumentParser, parser: argparse.ArgumentParser) -> None:
    """Give the parser that stands for a tool all that the tool's own one has."""
    name = stand_in.prog
    stand_in.__dict__.update(parser.__dict__)
    stand_in.prog = name
