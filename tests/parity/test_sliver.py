"""The recordings that come along are numbers of the whole ones, small, and of every family."""

from pathlib import Path

import numpy as np
import pytest

SLIVER = Path(__file__).resolve().parents[1] / "recordings"
FILES = sorted(path.relative_to(SLIVER) for path in SLIVER.glob("golden*/*"))
MOST_BYTES = 6_000_000
OF_EVERY_FAMILY = {
    "golden": (
        *("b_petrv1_seqA.npz", "c_focal_petrv1.json"),
        *("b_r50_428q_seqA.npz", "c_r50_428q_stream.json"),
        *("b_repdetr3d_vov_seqA.npz", "c_repdetr3d_vov.json"),
    ),
    "golden_methods": ("raydn_r50.json", "harmo_distill_r50_r18.json", "dynamicdet.json"),
}
RELEASED = {"golden": 11, "golden_methods": 17}


def test_small_and_of_every_family() -> None:
    assert sum((SLIVER / path).stat().st_size for path in FILES) < MOST_BYTES
    for folder, names in OF_EVERY_FAMILY.items():
        assert {Path(folder, name) for name in names} <= {*FILES}
        assert len([path for path in FILES if path.match(f"{folder}/keys_*.txt")]) == RELEASED[folder]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_numbers_are_those_of_the_whole(path: Path, shared: Path) -> None:
    if path.suffix != ".npz":
        assert (SLIVER / path).read_bytes() == (shared / path).read_bytes()
        return
    with np.load(SLIVER / path) as kept, np.load(shared / path) as whole:
        assert kept.files and set(kept.files) <= set(whole.files)
        for name in kept.files:
            assert kept[name].dtype == whole[name].dtype
            np.testing.assert_array_equal(kept[name], whole[name])
