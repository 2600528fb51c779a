"""Writing files whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Whatever happens before that, `path` keeps its old content or stays absent: a killed run leaves at
    most a hidden temporary file (`.<name>.*.tmp`, same suffix) behind. Parent folders are created.
    """
    with atomic_paths([path]) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """As `atomic_path`, for files that belong together: none takes its place before all are on the disk."""
    # File systems limit the length of a name: of a long one the begin has to do.
    temporaries = [path.parent / f".{path.stem[:40]}.{secrets.token_hex(6)}.tmp{path.suffix[:20]}" for path in paths]
    try:
        for path, temporary in zip(paths, temporaries, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            # Made anew, with the rights that the umask leaves: `tempfile` makes files that no one else can read.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporaries
        for temporary in temporaries:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        for path, temporary in zip(paths, temporaries, strict=True):
            temporary.replace(path)
    except OSError as error:
        _name_what_was_meant(error, paths, temporaries)
        raise
    finally:
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _name_what_was_meant(error: OSError, paths: Sequence[Path], temporaries: Sequence[Path]) -> None:
    """A write to a full disk fails without a name, and the temporary one would say little."""
    names = {str(temporary): str(path) for path, temporary in zip(paths, temporaries, strict=True)}
    if error.filename is None:
        error.filename = ", ".join(map(str, paths))
    elif str(error.filename) in names:
        error.filename = names[str(error.filename)]
