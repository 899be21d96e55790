"""Shapes that the convolutions' kernels may break at: (x shape, w shape, settings) by name."""

from typing import Any

Geometry = tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]

# More than DIRECT_CHANNELS channels a group, so that all three passes multiply tiles.
TILED: dict[str, Geometry] = {
    "less_than_a_tile": ((2, 5, 4, 5), (6, 5, 3, 3), {"padding": 1}),
    "one_more_filter_than_a_tile": ((1, 6, 5, 5), (33, 6, 2, 2), {}),
    "one_more_channel_than_a_tile": ((1, 33, 4, 4), (5, 33, 2, 2), {"padding": 1}),
    "one_more_pixel_than_a_tile": ((1, 5, 5, 13), (3, 5, 1, 1), {}),
    "tile_over_two_images": ((3, 8, 6, 7), (4, 8, 3, 3), {"padding": 1}),
    "depth_of_whole_tiles": ((1, 8, 5, 4), (8, 8, 1, 1), {}),
    "depth_of_one_tap": ((2, 5, 9, 9), (1, 5, 1, 1), {"stride": 2}),
    "stride_2": ((2, 7, 9, 8), (9, 7, 3, 3), {"stride": 2, "padding": 1}),
    "stride_3": ((1, 6, 11, 10), (7, 6, 3, 3), {"stride": 3, "padding": 2}),
    "stride_over_kernel": ((2, 5, 9, 8), (6, 5, 2, 2), {"stride": 3}),
    "dilation": ((1, 6, 9, 9), (5, 6, 3, 3), {"dilation": (2, 3), "padding": 2}),
    "dilation_and_stride": ((1, 5, 11, 10), (6, 5, 3, 3), {"dilation": 2, "stride": (4, 2)}),
    "groups": ((2, 12, 5, 5), (14, 6, 3, 3), {"groups": 2, "padding": 1}),
    "groups_over_tiles": ((1, 10, 4, 4), (66, 5, 2, 2), {"groups": 2, "stride": 2}),
    "padding_over_kernel": ((1, 5, 3, 4), (6, 5, 2, 2), {"padding": ((3, 0), (1, 4))}),
    # More tiles of rows than SWIZZLE, and two of columns.
    "bands_of_rows": ((1, 5, 5, 15), (545, 5, 1, 1), {}),
    "batch_0": ((0, 6, 5, 5), (7, 6, 3, 3), {}),
}
# Whole packs of 16 bytes in the operands' or the result's rows, and cases that only look like it.
PACKED: dict[str, Geometry] = {
    "packs_everywhere": ((3, 8, 4, 6), (12, 8, 1, 1), {}),
    "packs_in_groups": ((2, 16, 6, 6), (24, 8, 1, 1), {"groups": 2}),
    "packs_over_tiles": ((2, 40, 4, 10), (36, 40, 1, 1), {}),
    "packs_of_weights": ((1, 8, 5, 5), (6, 8, 3, 3), {"padding": 1}),
    "packs_of_pixels": ((2, 5, 4, 8), (6, 5, 3, 3), {"padding": 1}),
    "packs_but_padded": ((2, 8, 4, 4), (8, 8, 1, 1), {"padding": 1}),
    "packs_but_over_rows": ((2, 8, 4, 6), (8, 8, 1, 1), {"padding": ((1, 1), (0, 0))}),
    "packs_but_moved": ((2, 8, 4, 4), (8, 8, 1, 1), {"stride": 2, "padding": ((0, 3), (0, 3))}),
    "packs_but_strided": ((2, 8, 8, 8), (8, 8, 1, 1), {"stride": 2}),
    "pairs_alone": ((2, 6, 3, 6), (6, 6, 1, 1), {}),
}
# The other kernels: few channels a group (with more taps than are staged), depthwise.
FEW: dict[str, Geometry] = {
    "direct_17_filters": ((1, 3, 13, 12), (17, 3, 3, 3), {"padding": 1}),
    "direct_36_taps": ((2, 4, 7, 6), (5, 4, 3, 3), {"stride": 2, "padding": 1}),
    "direct_98_taps": ((1, 2, 9, 9), (3, 2, 7, 7), {"padding": 3}),
    "direct_groups": ((1, 6, 12, 12), (10, 3, 3, 3), {"groups": 2, "dilation": 2}),
    "direct_strided": ((2, 4, 9, 8), (6, 2, 3, 3), {"groups": 2, "stride": (2, 3), "padding": 1}),
    "direct_over_kernel": ((2, 2, 9, 8), (4, 2, 2, 2), {"stride": 3}),
    "direct_1_filter": ((2, 3, 6, 5), (1, 3, 3, 3), {"padding": 1}),
    "depthwise_stride_2": ((2, 3, 11, 9), (3, 1, 3, 3), {"groups": 3, "stride": 2, "padding": 1}),
    "depthwise_tall": ((1, 2, 19, 5), (4, 1, 5, 3), {"groups": 2, "stride": (3, 1), "padding": 2}),
    "depthwise_5x5": ((2, 4, 9, 7), (4, 1, 5, 5), {"groups": 4, "padding": 2}),
    "depthwise_dilated_5x5": (
        (2, 4, 9, 7),
        (4, 1, 5, 5),
        {"groups": 4, "dilation": (2, 1), "padding": (4, 2)},
    ),
    "depthwise_two_strips": ((2, 3, 12, 5), (6, 1, 3, 3), {"groups": 3, "padding": 1}),
    "depthwise_7x7": ((1, 2, 7, 33), (2, 1, 7, 7), {"groups": 2, "padding": ((3, 2), (1, 4))}),
    "depthwise_multiplier_2": ((1, 3, 9, 9), (6, 1, 3, 3), {"groups": 3, "stride": 2}),
    "depthwise_dilated": ((1, 3, 12, 9), (3, 1, 3, 2), {"groups": 3, "dilation": 2, "stride": 3}),
}
# Enough pixels that the sums over them are split, the last slice shorter than the others.
SPLIT: dict[str, Geometry] = {
    "split_3": ((3, 5, 12, 13), (6, 5, 1, 1), {}),
    "split_groups": ((5, 10, 9, 9), (4, 5, 2, 2), {"groups": 2, "padding": 1}),
    "split_direct": ((5, 4, 34, 33), (10, 2, 3, 2), {"groups": 2, "stride": (1, 1)}),
    "split_depthwise": ((3, 2, 30, 29), (4, 1, 2, 2), {"groups": 2}),
}
