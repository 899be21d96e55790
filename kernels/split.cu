// split: y[row, j] = x[row, first + j], one launch for each of the pieces.
//
// x         scalar_t (rows, pitch): the whole array, of which this launch reads columns from `first`
// y         scalar_t (rows, width): width = the sizes of the axis and of those behind it, multiplied
// mapping, launch and why it is race-free: copy.cuh
// cost      2 * sizeof(scalar_t) bytes an element
#include "copy.cuh"

extern "C" __global__ void split(const scalar_t* __restrict__ x, scalar_t* __restrict__ y, int rows,
                                 int width, int pitch, int first) {
    copy_rows(x + first, pitch, y, width, rows, width);
}
