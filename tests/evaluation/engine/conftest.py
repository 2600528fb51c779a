"""The engine runs as it is, without numba too: `make mutants` changes it as Python."""

import os
from collections.abc import Iterator
from fractions import Fraction

import pytest

from evaluation.engine import distance


@pytest.fixture(scope="session", autouse=True)
def fused_products() -> Iterator[None]:
    """Without numba there is no machine instruction that rounds a product and a sum once: written out instead."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get("NUMBA_DISABLE_JIT") == "1":
            patch.setattr(
                distance, "_fused_multiply_add", lambda a, b, c: float(Fraction(a) * Fraction(b) + Fraction(c))
            )
        yield
