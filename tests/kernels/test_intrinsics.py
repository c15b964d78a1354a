"""Rows of several classes at a time: vector registers add up what NumPy does."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from offbeat.kernels.compiled import kernel
from offbeat.kernels.intrinsics import add_row


@kernel()
def _spread(dst, index, data, src, each):  # type: ignore[no-untyped-def]
    for p in range(index.shape[0]):
        add_row(dst, index[p], data[p], src, p, each)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 3, 13, 16, 17, 40])
def test_rows_of_any_width_are_added(width: int, kind: type) -> None:
    rng = np.random.default_rng(width)
    index, data = rng.integers(0, 5, 30).astype(np.int32), rng.standard_normal(30).astype(kind)
    src, dst = rng.standard_normal((30, width)).astype(kind), rng.standard_normal((7, width)).astype(kind)
    expected = dst.astype(np.float64)
    np.add.at(expected, index, data[:, None].astype(np.float64) * src)
    _spread(dst, index, data, src, (0,) * width)
    assert_allclose(dst, expected, rtol=0.0, atol=100.0 * np.finfo(kind).eps)
