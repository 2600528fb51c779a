"""Writing files whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    Whatever happens before that, `path` keeps its old content or stays absent: a killed run leaves at
    most a hidden temporary file (`.<name>.*.tmp`, same suffix) behind. Parent folders are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # File systems limit the length of a name: of a long one the begin has to do.
    temporary = path.parent / f".{path.stem[:40]}.{secrets.token_hex(6)}.tmp{path.suffix[:20]}"
    try:
        # Made anew, with the rights that the umask leaves: `tempfile` makes files that no one else can read.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        # A write to a full disk fails without a name, and the temporary one would say little.
        if error.filename in (None, temporary, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
