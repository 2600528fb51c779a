"""Bad input ends in one line on stderr and exit code 2."""

import errno

import pytest

from scenes import InputError
from scenes.command import run_command


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


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_exit_code_is_what_main_returns(returned: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: returned)
    assert caught.value.code == code


def test_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)
