"""Bad input ends in one line on stderr and exit code 2."""

import argparse
import errno
import sys

import pytest
from rich.table import Table

from scenes import InputError
from scenes.command import add_workers, progress_bar, run_command, table_console


def _raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (InputError("file: sample 's': wrong\nreally"), "error: file: sample 's': wrong really\n", 2),
        (OSError(errno.ENOSPC, "No space left on device", "out.json"), "error: out.json: No space left on device\n", 2),
        (KeyboardInterrupt(), "stopped\n", 130),
    ],
)
def test_error_ends_in_one_line(capsys: pytest.CaptureFixture[str], error: BaseException, line: str, code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: _raising(error))
    assert caught.value.code == code
    assert capsys.readouterr().err == line


def test_what_fails_on_the_way_out_of_an_interrupt_is_the_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    """A lock is let go of, and again by who comes after."""

    def main() -> None:
        try:
            try:
                raise KeyboardInterrupt
            finally:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", "journal.lock")
        except FileNotFoundError as error:
            raise OSError(errno.EIO, "Input/output error", "journal") from error

    with pytest.raises(SystemExit) as caught:
        run_command(main)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_exit_code_is_what_main_returns(returned: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: returned)
    assert caught.value.code == code


def test_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_of_a_very_long_message_the_middle_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(lambda: _raising(InputError(f"begin {'x' * 100_000} end")))
    error = capsys.readouterr().err
    assert error.startswith("error: begin xxx") and error.endswith("xxx end\n") and len(error) < 2100


def test_workers() -> None:
    parser = argparse.ArgumentParser()
    add_workers(parser, 3, "processes")
    assert [parser.parse_args(words).workers for words in ([], ["--workers", "2"])] == [3, 2]
    for count in ("0", "-5"):
        with pytest.raises(InputError, match=f"^--workers {count}: expected at least 1$"):
            parser.parse_args(["--workers", count])


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with progress_bar() as bar:
        bar.add_task("scenes", total=1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar() as bar:
        bar.add_task("scenes", total=1)
    assert "scenes" in capsys.readouterr().err


def test_tables_in_a_pipe_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [f"column {index} of a wide table" for index in range(20)]
    table_console().print(Table(*cells))
    header = capsys.readouterr().out.splitlines()[1]
    assert all(cell in header for cell in cells)
