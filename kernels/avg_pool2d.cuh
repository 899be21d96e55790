// The divisor of an average pool's window, alike in both passes.
#ifndef GPUCNN_AVG_POOL2D_CUH
#define GPUCNN_AVG_POOL2D_CUH
#include "pooling.cuh"

// Cells of a window along one axis: the real ones, or all up to the padded edge.
DEVICE int counted(int window, int stride, int before, int after, int kernel, int size, int include_pad) {
    const int start = window * stride - before, left = size + after - start;
    return include_pad ? min(kernel, left) : real_cells(window, stride, before, kernel, 1, size).count;
}

DEVICE scalar_t divisor(const Pool2dParams& s, int p, int q, int include_pad) {
    return scalar_t(counted(p, s.stride_h, s.pad_top, s.pad_bottom, s.kernel_h, s.h, include_pad)) *
           scalar_t(counted(q, s.stride_w, s.pad_left, s.pad_right, s.kernel_w, s.w, include_pad));
}

#endif  // GPUCNN_AVG_POOL2D_CUH
