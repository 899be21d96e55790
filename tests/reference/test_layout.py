"""The converters between NHWC/HWIO and NCHW/KCRS."""

import numpy as np
import pytest

from gpucnn.reference import layout


@pytest.mark.seed("C2")
def test_each_element_keeps_its_indices() -> None:
    x, w = np.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5), np.arange(120.0).reshape(2, 3, 4, 5)
    nchw, kcrs = layout.nhwc_to_nchw(x), layout.hwio_to_kcrs(w)
    for a, b, c, d in np.ndindex(2, 3, 4, 5):
        assert nchw[a, d, b, c] == x[a, b, c, d]
        assert kcrs[d, c, a, b] == w[a, b, c, d]


@pytest.mark.seed("C2")
def test_round_trips() -> None:
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    for there, back in (
        (layout.nhwc_to_nchw, layout.nchw_to_nhwc),
        (layout.nchw_to_nhwc, layout.nhwc_to_nchw),
        (layout.hwio_to_kcrs, layout.kcrs_to_hwio),
        (layout.kcrs_to_hwio, layout.hwio_to_kcrs),
    ):
        assert there(x).flags.c_contiguous
        np.testing.assert_array_equal(back(there(x)), x)
