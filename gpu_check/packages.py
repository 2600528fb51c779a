"""What the machine has to have, and how to bring the rest to one without a network. Imports nothing of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

# Module: the package that brings it.
EVERYWHERE: Final = {
    "addict": "addict",
    "cv2": "opencv-python-headless",
    "mmengine": "mmengine",
    "msgspec": "msgspec",
    "numba": "numba",
    "numpy": "numpy",
    "PIL": "pillow",
    "platformdirs": "platformdirs",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "termcolor": "termcolor",
    "torch": "torch",
    "yaml": "pyyaml",
    "yapf": "yapf",
}
"""What every part needs."""
SOMEWHERE: Final = {
    "hypothesis": "hypothesis",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "pycocotools": "pycocotools",
    "pytest": "pytest",
}
"""What the tests and the training need besides."""


@dataclass(frozen=True)
class Missing:
    """Packages that are not installed: those that every part needs, and those that some do."""

    everywhere: list[str]
    somewhere: list[str]


def missing() -> Missing:
    """What is not installed here."""
    return Missing(*([name for module, name in needed.items() if not _is_there(module)] for needed in _NEEDED))


def advice(packages: Iterable[str]) -> str:
    """One line: what is missing, and how to bring it."""
    names = " ".join(sorted(packages))
    return (
        f"missing: {names}; with a network `pip install {names}`, without one `pip download --no-deps -d wheels "
        f"-c constraints.txt --only-binary=:all: --python-version 3.12 --platform manylinux2014_x86_64 {names}` where "
        "there is one, and here `pip install --no-deps --target wheels/site wheels/*.whl` and "
        "`export PYTHONPATH=wheels/site`"
    )


_NEEDED: Final = (EVERYWHERE, SOMEWHERE)


def _is_there(module: str) -> bool:
    return find_spec(module) is not None
