"""Deformable aggregation by Triton, in its interpreter.

Where Triton is missing, which comes with torch for GPUs: `pip install triton` puts it beside a torch for CPUs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def test_kernels_sum_as_grid_sample_does() -> None:
    tests = Path(__file__).with_name("interpreted_aggregation.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(tests)]
    found = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("maps", ["*fp32", "*bf16", "*fp16"])
@pytest.mark.parametrize("name", ["_sum_kernel", "_gradient_kernel"])
def test_kernels_compile_for_gpus(name: str, maps: str, capability: int) -> None:
    """To the GPU's own code, for which none is needed."""
    from triton import compile as compile_kernel
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from detection.models.layers import aggregation_kernel

    kernel = getattr(aggregation_kernel, name)
    numbers = kernel.arg_names[kernel.arg_names.index("height") : -2]
    types = dict.fromkeys(kernel.arg_names, "*fp32") | dict.fromkeys(numbers, "i32") | {"maps": maps}
    blocks = {"group_block": 8, "channel_block": 32}
    source = ASTSource(kernel, types | dict.fromkeys(blocks, "constexpr"), blocks)
    assert compile_kernel(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
