"""What numpy's arrays and numbers are pickled by: functions that it does not show otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

_RECONSTRUCT: Final = np.zeros(0).__reduce__()[0]
_SCALAR: Final = np.float64(0).__reduce__()[0]
_FROM_BUFFER: Final = np.zeros(1).__reduce_ex__(5)[0]

ARRAY_FUNCTIONS: Final[Mapping[tuple[str, str], Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # numpy 2 renamed its core package; either version reads files of the other.
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
}
"""By module and name, for unpicklers that admit arrays."""
