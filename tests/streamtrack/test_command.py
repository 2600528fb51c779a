"""`streamtrack NAME` runs `tools/NAME.py`."""

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scenes import read_scenes, read_tracks, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from streamtrack import command
from streamtrack.completion import completion_script, tool_parser

TOOLS = Path(__file__).resolve().parents[2] / "tools"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `streamtrack` here; returns its exit code and what it printed."""

    def run_command(*arguments: object) -> tuple[int, str, str]:
        # The tool takes the place of `__main__`; both are put back afterwards.
        monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        monkeypatch.setattr(sys, "argv", ["streamtrack", *map(str, arguments)])
        code = 0
        try:
            command.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return run_command


def test_there_is_a_command_for_each_tool(run: Run) -> None:
    code, printed, _ = run("--help")
    assert code == 0
    for tool in TOOLS.glob("*.py"):
        assert f"\n    {tool.stem}" in printed


def test_a_command_explains_itself_under_its_own_name(run: Run) -> None:
    code, printed, _ = run("track", "--help")
    assert code == 0
    assert printed.startswith("usage: streamtrack track ") and "--calibration" in printed


def test_version_is_the_packages(run: Run) -> None:
    assert run("--version") == (0, importlib.metadata.version("streamtrack") + "\n", "")


def test_options_of_a_tool_are_its_own(run: Run, tmp_path: Path) -> None:
    code, _, complaint = run("track", tmp_path / "none.json", "--version", "v1", "--dataroot", tmp_path, "--split", "a")
    assert code == 2
    assert "one of the following arguments is required: --out, --shards" in complaint


@pytest.mark.parametrize("arguments", [(), ("fly",), ("--completion",)])
def test_a_command_that_is_not_there_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    code, _, complaint = run(*arguments)
    assert code == 2
    assert "streamtrack: error:" in complaint


def test_an_extra_that_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "learn.py").write_text('"""Learns."""\nraise ModuleNotFoundError("no", name="torch.nn")')
    monkeypatch.setattr(command, "_TOOLS", tmp_path)
    code, _, complaint = run("learn")
    assert (code, complaint) == (2, "error: this needs the package torch: pip install 'streamtrack[detection]'\n")


def test_a_fault_of_the_project_is_not_taken_for_a_missing_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "learn.py").write_text("import scenes.no_such_module")
    monkeypatch.setattr(command, "_TOOLS", tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        run("learn")


def test_tracking_needs_no_torch(tmp_path: Path) -> None:
    city = tmp_path / "city"
    make_city(city, train_scenes=0, val_scenes=1, frames=3, images=False, workers=1)
    write_detections(tmp_path / "found.json", simulate_detections(read_scenes(city, VERSION, VAL_SPLIT)))
    program = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError('no torch here')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from streamtrack.command import main\n"
        "main()\n"
    )
    arguments = ["found.json", "--dataroot", "city", "--version", VERSION, "--split", VAL_SPLIT, "--out", "tracks.json"]
    done = subprocess.run(
        [sys.executable, "-c", program, "track", *arguments, "--config", "configs/tracking/centerpoint.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOOLS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 scenes, 3 frames:")
    assert len(read_tracks(tmp_path / "tracks.json").boxes) == 3


@pytest.mark.parametrize("tool", sorted(TOOLS.glob("*.py")), ids=lambda path: path.stem)
def test_completion_finds_the_parser_of_a_tool(tool: Path) -> None:
    parser = tool_parser(tool)
    assert isinstance(parser, argparse.ArgumentParser)
    assert parser.format_usage()


@pytest.fixture(scope="module")
def completed() -> Callable[..., set[str]]:
    """What bash offers for the last of the words."""
    tools = command.tool_paths()
    script = completion_script("bash", *command.command_parser(tools), tools)

    def complete(*words: str) -> set[str]:
        asked = (
            f'COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _shtab_streamtrack; echo "${{COMPREPLY[*]}}"'
        )
        done = subprocess.run(["bash"], input=f"{script}\n{asked}", capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    return complete


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("tr",), {"track", "tracker_sensitivity", "train"}),
        (("track", "--c"), {"--calibration", "--config", "--camera-evidence"}),
        (("evaluate", "co"), {"compare"}),
        (("evaluate", "tracking", "--rep"), {"--report"}),
        (("visualize", "--color-by", "id"), {"identity"}),
        (("benchmark", "o"), {"offline"}),
    ],
)
def test_bash_completes_commands_options_and_choices(
    completed: Callable[..., set[str]], words: tuple[str, ...], offered: set[str]
) -> None:
    assert completed("streamtrack", *words) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_served(run: Run, shell: str) -> None:
    code, script, _ = run("--completion", shell)
    assert code == 0
    assert "calibration" in script
