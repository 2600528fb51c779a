"""Files that ship with the project, configs and weights, found from any folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]
_PLACES: Final = (_ROOT, _ROOT / "streamtrack")  # in a checkout; configs in an installation
_FOLDERS: Final = (Path("configs"), Path("detection", "weights"))


def shipped_path(path: Path | str) -> Path:
    """`path` itself where it exists, else what ships under that name, such as `configs/tracking/default.py`.

    A path that neither exists nor ships comes back as it is, for the reader of the file to complain about.
    """
    path = Path(path)
    if path.exists() or not any(path.is_relative_to(folder) for folder in _FOLDERS):
        return path
    return next((place / path for place in _PLACES if (place / path).exists()), path)
