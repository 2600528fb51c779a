"""Distances are scikit-learn's to the last bit, whatever the shape of the matrix."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import euclidean_distances

from evaluation.engine.distance import expanded_distance, product_rounding, squared_norms


@pytest.mark.parametrize("rows", [1, 2, 3, 20])
@pytest.mark.parametrize("columns", [1, 2, 5, 40])
def test_equals_scikit_learn(rows, columns) -> None:
    rng = np.random.default_rng(rows * 100 + columns)
    for _ in range(20):
        a = rng.uniform(0, 3000, (rows, 2))
        b = np.concatenate([a, rng.uniform(0, 3000, (columns, 2))])[:columns].copy()
        rounding = product_rounding().vector if (rows == 1) != (columns == 1) else product_rounding().matrix
        ours = [
            [expanded_distance(p, q, pp, qq, rounding) for q, qq in zip(b, squared_norms(b), strict=True)]
            for p, pp in zip(a, squared_norms(a), strict=True)
        ]
        np.testing.assert_array_equal(ours, euclidean_distances(a, b))
