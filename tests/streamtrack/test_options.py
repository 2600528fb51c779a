"""The options of all commands agree: names, what they take, and that each says its default."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamtrack.completion import tool_parser

TOOLS = sorted((Path(__file__).resolve().parents[2] / "tools").glob("*.py"))
READ_A_SPLIT = {
    "calibrate",
    "camera_evidence",
    "compare_methods",
    "consistency",
    "evaluate",
    "test",
    "track",
    "tracker_sensitivity",
    "tune_tracker",
    "visualize",
}


def _parsers(tool: Path) -> Iterator[argparse.ArgumentParser]:
    """The parser of a tool, and those of its sub-commands."""
    parser = tool_parser(tool)
    assert parser is not None
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


@pytest.mark.parametrize("tool", TOOLS, ids=lambda path: path.stem)
def test_every_option_is_explained_with_its_default(tool: Path) -> None:
    for parser in _parsers(tool):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction | argparse._HelpAction) or not action.option_strings:
                continue
            name = f"{parser.prog} {action.option_strings[-1]}"
            assert action.help, name
            if action.default not in (None, False, argparse.SUPPRESS) and action.default not in ([], {}):
                assert "default" in action.help, f"{name}: {action.help} (default {action.default})"


@pytest.mark.parametrize("tool", TOOLS, ids=lambda path: path.stem)
def test_what_is_written_is_a_file_or_a_folder(tool: Path) -> None:
    for parser in _parsers(tool):
        for action in parser._actions:
            if "--out" in action.option_strings:
                assert action.metavar in ("FILE", "DIR"), f"{parser.prog} --out {action.metavar or ''}: {action.help}"


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.stem in READ_A_SPLIT], ids=lambda path: path.stem)
def test_a_split_is_named_in_one_way(tool: Path) -> None:
    options = {option for parser in _parsers(tool) for action in parser._actions for option in action.option_strings}
    assert {"--dataroot", "--version", "--split"} <= options
