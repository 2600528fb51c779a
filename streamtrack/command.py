"""`streamtrack NAME ...`: runs `tools/NAME.py ...`, wherever the project lies."""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from scenes.command import run_command

_HERE: Final = Path(__file__).resolve().parent
# The wheel carries the tools inside this package; in a checkout they lie beside it.
_TOOLS: Final = _HERE / "tools" if (_HERE / "tools").is_dir() else _HERE.parent / "tools"
_SHELLS: Final = ("bash", "zsh", "fish")

_EPILOG: Final = """\
`streamtrack NAME --help` explains a command; `python tools/NAME.py` in a checkout is the same code. A path that begins
with configs/ or detection/weights/ and is not in the working folder is the one that ships with the project.

Completion: streamtrack --completion bash > ~/.local/share/bash-completion/completions/streamtrack
"""


def main() -> None:
    """Run the tool that the command line names."""
    tools = tool_paths()
    parser, stand_ins = command_parser(tools)
    arguments, _ = parser.parse_known_args()
    if arguments.completion:
        # Whoever runs a tool needs no generator of completions.
        from streamtrack.completion import completion_script

        print(completion_script(arguments.completion, parser, stand_ins, tools))
    elif arguments.command:
        run_tool(tools[arguments.command], sys.argv[2:])
    else:
        parser.error("which command? `streamtrack --help` lists them")


def tool_paths() -> dict[str, Path]:
    """The tools, by the names of their commands."""
    return {path.stem: path for path in sorted(_TOOLS.glob("*.py"))}


def command_parser(
    tools: Mapping[str, Path],
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of `streamtrack`, and the empty parsers in it that stand for the tools, by name.

    The tools bring their own parsers. They are not asked here: that would import every room, and torch.
    """
    parser = argparse.ArgumentParser(
        prog="streamtrack",
        description="Multi-camera 3D detection and 3D multi-object tracking for nuScenes-format data.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=importlib.metadata.version("streamtrack"))
    parser.add_argument("--completion", choices=_SHELLS, help="print the completion of options and commands")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers = {name: commands.add_parser(name, help=_first_line(path), add_help=False) for name, path in tools.items()}
    return parser, parsers


def run_tool(path: Path, arguments: Sequence[str]) -> None:
    """Run a tool as `python PATH ARGUMENTS` would, under the name `streamtrack NAME`."""
    # Worker processes find the tool's functions by the file of `__main__`, as they do when Python itself runs it.
    module = ModuleType("__main__")
    module.__file__ = str(path)
    sys.modules["__main__"] = module
    sys.argv = [f"streamtrack {path.stem}", *arguments]
    program = compile(path.read_bytes(), str(path), "exec")
    # Inside, since what a tool imports at its beginning may be missing.
    run_command(lambda: exec(program, module.__dict__))


def _first_line(path: Path) -> str:
    """What a tool says of itself first."""
    described = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return described.splitlines()[0].rstrip(".").replace("%", "%%") if described else ""
