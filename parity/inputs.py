"""Recorded inputs: they tell whether the rule still makes what the models were shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from parity.comparison import Comparison
from parity.models import Workshop
from parity.recording import by_prefix, read_arrays

_CHECKSUM = 1e-6  # relative: sums over an image depend on their order
_PRODUCT = "lidar2img"  # of two matrices, whose sums of four products a processor takes in its own order
_SUM_OF_PRODUCTS = 4 * float(np.finfo(np.float32).eps)  # relative to the largest


def check_inputs(path: Path, workshop: Workshop) -> Comparison:
    """Compare the frames of the rule with recorded ones; of most images only sums are recorded.

    Args:
        path: `inputs.npz`, arrays named `<sequence><number>_<name>`.
        workshop: has the rule.
    """
    comparison = Comparison()
    for prefix, recorded in by_prefix(read_arrays(path)).items():
        named = re.fullmatch(r"([A-Z])(\d+)", prefix)
        made = workshop.rule.arrays(named[1], int(named[2])) if named else {}
        for name, array in recorded.items():
            full_name = f"{prefix}_{name}"
            if name == "img_checksum" and "img" in made:
                image = made["img"].astype(np.float64)
                sums = np.array([image.sum(), np.abs(image).sum()])
                comparison.within(full_name, sums, array, _CHECKSUM * np.abs(image).sum())
            elif name not in made:
                comparison.not_compared.append(full_name)
            elif array.dtype.kind == "U":
                comparison.equal(full_name, made[name] == str(array), True)
            elif name == _PRODUCT:
                comparison.within(full_name, made[name], array, _SUM_OF_PRODUCTS * np.abs(array).max())
            else:
                comparison.equal(full_name, made[name], array)
    return comparison
