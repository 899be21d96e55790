// Window arithmetic of the pools: which cells a window covers, and which windows cover a cell.
#ifndef GPUCNN_POOLING_CUH
#define GPUCNN_POOLING_CUH
#include "common.cuh"

// The usual geometry, for which a kernel is compiled apart: most of the time of a small window goes into
// divisions by its stride and dilation.
DEVICE bool is_usual(const Pool2dParams& s) {
    return s.stride_h == 2 && s.stride_w == 2 && s.dilation_h == 1 && s.dilation_w == 1;
}

template <bool USUAL>
DEVICE Pool2dParams known(Pool2dParams s) {
    if (USUAL) {
        s.stride_h = s.stride_w = 2;
        s.dilation_h = s.dilation_w = 1;
    }
    return s;
}

// A place in an (N*C, rows, columns) array.
struct Place {
    int plane, row, column;
};

DEVICE Place place_of(uint32 index, int rows, int columns) {
    const uint32 line = index / columns;
    return {int(line / rows), int(line % rows), int(index % columns)};
}

// The real cells of a window along one axis: `count` of them from `first` on, `dilation` apart; the
// first is the window's tap number `tap`. The host refuses windows without a real cell.
struct Span {
    int first, tap, count;
};

DEVICE Span real_cells(int window, int stride, int pad, int kernel, int dilation, int size) {
    const int start = window * stride - pad;
    const int tap = start < 0 ? (-start - 1) / dilation + 1 : 0;
    const int first = start + tap * dilation;
    return {first, tap, min(kernel - tap, (size - 1 - first) / dilation + 1)};
}

DEVICE Span real_rows(const Pool2dParams& s, int p) {
    return real_cells(p, s.stride_h, s.pad_top, s.kernel_h, s.dilation_h, s.h);
}

DEVICE Span real_columns(const Pool2dParams& s, int q) {
    return real_cells(q, s.stride_w, s.pad_left, s.kernel_w, s.dilation_w, s.w);
}

// The windows low..high whose extent covers a cell along one axis; none where low > high. `position`
// counts the cell from the padded edge.
struct Cover {
    int position, low, high;
};

DEVICE Cover covering(int cell, int stride, int pad, int kernel, int dilation, int windows) {
    const int position = cell + pad, extent = dilation * (kernel - 1) + 1;
    const int low = position < extent ? 0 : (position - extent) / stride + 1;
    return {position, low, min(windows - 1, position / stride)};
}

DEVICE Cover covering_rows(const Pool2dParams& s, int row) {
    return covering(row, s.stride_h, s.pad_top, s.kernel_h, s.dilation_h, s.p);
}

DEVICE Cover covering_columns(const Pool2dParams& s, int column) {
    return covering(column, s.stride_w, s.pad_left, s.kernel_w, s.dilation_w, s.q);
}

#endif  // GPUCNN_POOLING_CUH
