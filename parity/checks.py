"""Which file of a folder of recordings is compared how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from parity.arithmetic import Arithmetic, exact_float32
from parity.comparison import Comparison
from parity.distillation import check_distillation, check_distillation_branches
from parity.distillation_losses import check_distillation_losses
from parity.dynamic_detectors import check_dynamic_detectors, check_dynamic_keys
from parity.inference import check_image_head, check_sequence
from parity.initialization import check_initialization
from parity.inputs import check_inputs
from parity.keys import check_keys
from parity.models import Workshop
from parity.ray_denoising import check_ray_denoising
from parity.rule import Rule
from parity.training import check_training
from scenes import InputError

Check = Callable[[Path, Workshop], Comparison | None]

# The first pattern that fits a file's name decides; a file that none fits is named and not checked.
CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("b_*_roi_eval_*.npz", check_image_head),
    ("b_*.npz", check_sequence),
    ("c_*.json", check_training),
    ("harmo_losses.json", check_distillation_losses),
    ("harmo_branches.json", check_distillation_branches),
    ("harmo_distill_*.json", check_distillation),
    ("raydn_*.json", check_ray_denoising),
    ("dynamicdet.json", check_dynamic_detectors),
    ("keys_dy_*.txt", check_dynamic_keys),
    ("keys_*.txt", check_keys),
    ("init_stats_*.txt", check_initialization),
    ("inputs.npz", check_inputs),
)
_SUFFIXES: Final = (".npz", ".json", ".txt")


@dataclass(frozen=True)
class Report:
    """What came of one file.

    Attributes:
        name: of the file.
        comparison: None where nothing here compares it.
    """

    name: str
    comparison: Comparison | None

    @property
    def agrees(self) -> bool:
        """Whether nothing that was compared is beyond its tolerance."""
        return self.comparison is None or self.comparison.agrees

    def __str__(self) -> str:
        if self.comparison is None:
            return f"{self.name}: not checked"
        verdict = "ok" if self.agrees else "DIFFERS"
        counted = f"{len(self.comparison.compared)} compared"
        if self.comparison.not_compared:
            counted += f", not compared: {', '.join(self.comparison.not_compared)}"
        worst = f", at most {self.comparison.worst}" if self.comparison.worst else ""
        return f"{self.name}: {verdict}, {counted}{worst}"


def recordings(folder: Path) -> list[Path]:
    """The files of a folder that may be recordings, by name.

    Raises:
        InputError: there is none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and not _belongs_to_another(path))
    if not any(_check_of(path) for path in paths):
        raise InputError(f"{folder}: holds no recording; their names look like {', '.join(p for p, _ in CHECKS)}")
    return paths


def check_file(path: Path, workshop: Workshop, arithmetic: Arithmetic = exact_float32) -> Report:
    """Compare one recording.

    Args:
        path: of the recording.
        workshop: makes the model.
        arithmetic: in which it computes; the tolerances are those of the default.

    Raises:
        InputError: it cannot be read, or is of a model that is not known.
    """
    check = _check_of(path)
    with arithmetic(workshop.device):
        return Report(path.name, None if check is None else check(path, workshop))


def check_folder(folder: Path, configs: Path, rule: Path | None = None) -> Iterator[Report]:
    """Compare every recording in a folder.

    Args:
        folder: of the recordings.
        configs: folder of the configs of the models.
        rule: file that makes weights and inputs; by default `rule.py` in the folder or in its sibling `golden`.

    Raises:
        InputError: no recordings, no rule, or a file that cannot be read.
    """
    paths = recordings(folder)
    workshop = Workshop(configs, Rule(rule) if rule else Rule.find(folder))
    for path in paths:
        yield check_file(path, workshop)


def _check_of(path: Path) -> Check | None:
    return next((check for pattern, check in CHECKS if fnmatch(path.name, pattern)), None)


def _belongs_to_another(path: Path) -> bool:
    """Whether a file holds the arrays of a recording that is named by its `.json` file."""
    return path.suffix == ".npz" and path.with_suffix(".json").is_file()
