"""Convolution geometries that break things. Settings left out are 1, padding 0."""

from typing import Any

from tests.oracles.convolution import Convolution

GEOMETRIES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "odd_sizes": ((2, 3, 7, 5), (4, 3, 3, 3), {}),
    "same": ((2, 2, 5, 6), (3, 2, 3, 3), {"padding": 1}),
    "stride_2": ((2, 2, 7, 9), (3, 2, 3, 3), {"stride": 2, "padding": 1}),
    "stride_3": ((1, 2, 10, 7), (2, 2, 4, 4), {"stride": 3}),
    "stride_pair": ((2, 2, 7, 8), (2, 2, 3, 2), {"stride": (1, 3)}),
    "stride_over_kernel": ((2, 2, 9, 8), (2, 2, 2, 2), {"stride": 3}),
    "stride_over_input": ((1, 2, 4, 4), (2, 2, 2, 2), {"stride": 7}),
    "dilation_2": ((2, 2, 8, 7), (2, 2, 3, 3), {"dilation": 2}),
    "dilation_pair": ((1, 2, 8, 9), (2, 2, 3, 2), {"dilation": (2, 3), "padding": 1}),
    "dilation_and_stride": ((1, 2, 9, 10), (2, 2, 3, 3), {"dilation": 2, "stride": 2}),
    "dilation_3_stride_2": ((1, 1, 11, 10), (2, 1, 3, 3), {"dilation": 3, "stride": 2}),
    "dilation_4_stride_6": ((1, 1, 15, 14), (2, 1, 3, 3), {"dilation": 4, "stride": 6}),
    "groups_2": ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 3, 5, 6), (3, 1, 3, 3), {"groups": 3, "padding": 1}),
    "depthwise_multiplier_2": ((2, 3, 6, 5), (6, 1, 3, 3), {"groups": 3, "stride": 2}),
    "pointwise": ((2, 4, 3, 5), (5, 4, 1, 1), {}),
    "pointwise_one_pixel": ((3, 4, 1, 1), (5, 4, 1, 1), {}),
    "pointwise_stride_2": ((2, 3, 5, 6), (4, 3, 1, 1), {"stride": 2}),
    "pointwise_padded": ((2, 3, 3, 2), (2, 3, 1, 1), {"padding": 2}),
    "pointwise_padded_stride": ((1, 2, 3, 4), (2, 2, 1, 1), {"padding": 1, "stride": 2}),
    "pointwise_groups": ((2, 4, 3, 3), (4, 2, 1, 1), {"groups": 2}),
    "pointwise_shifted": ((1, 2, 3, 4), (2, 2, 1, 1), {"padding": ((1, 0), (2, 0)), "stride": 1}),
    "whole_input": ((3, 2, 4, 5), (3, 2, 4, 5), {}),
    "over_unpadded_input": ((2, 2, 2, 3), (2, 2, 5, 5), {"padding": 2}),
    "padding_over_kernel": ((1, 2, 3, 4), (2, 2, 2, 2), {"padding": 3}),
    "padding_over_kernel_stride": ((1, 2, 4, 3), (2, 2, 2, 2), {"padding": 4, "stride": 3}),
    "asymmetric": ((2, 2, 5, 4), (2, 2, 3, 2), {"padding": ((0, 2), (3, 1))}),
    "one_sided_stride": ((1, 2, 6, 5), (2, 2, 3, 3), {"padding": ((2, 0), (0, 1)), "stride": 2}),
    "all_rectangular": (
        (2, 4, 9, 7),
        (4, 2, 2, 3),
        {"stride": (3, 2), "padding": ((1, 2), (0, 3)), "dilation": (3, 1), "groups": 2},
    ),
    "one_row_out": ((2, 2, 3, 8), (3, 2, 3, 3), {"padding": (0, 1)}),
    "one_column_out": ((2, 2, 8, 3), (3, 2, 3, 3), {"stride": 2}),
    "one_row_in": ((2, 3, 1, 9), (2, 3, 1, 4), {"stride": (1, 2)}),
    "batch_0": ((0, 3, 5, 5), (4, 3, 3, 3), {"padding": 1}),
    "batch_0_pointwise": ((0, 3, 5, 5), (4, 3, 1, 1), {}),
    "batch_0_stride": ((0, 4, 6, 5), (4, 2, 3, 3), {"stride": 2, "groups": 2}),
    "batch_1": ((1, 3, 5, 5), (4, 3, 3, 3), {}),
    "one_of_all": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "remainder_1": ((2, 2, 6, 6), (2, 2, 3, 3), {"stride": 2}),
    "remainder_2": ((2, 2, 8, 5), (2, 2, 3, 3), {"stride": 3}),
    "remainder_padded": (
        (1, 2, 6, 6),
        (2, 2, 3, 3),
        {"stride": (2, 4), "padding": ((0, 1), (2, 2))},
    ),
}


def geometry(name: str) -> tuple[Convolution, dict[str, Any]]:
    """The oracle of a geometry and its settings as keywords."""
    x_shape, w_shape, settings = GEOMETRIES[name]
    return Convolution(x_shape, w_shape, **settings), settings
