// concat: y[row, first + j] = x[row, j], one launch for each of the joined arrays.
//
// x         scalar_t (rows, width): width = the sizes of the axis and of those behind it, multiplied
// y         scalar_t (rows, pitch): the joined array, of which this launch writes columns from `first`
// mapping, launch and why it is race-free: copy.cuh
// cost      2 * sizeof(scalar_t) bytes an element
#include "copy.cuh"

extern "C" __global__ void concat(const scalar_t* __restrict__ x, scalar_t* __restrict__ y, int rows,
                                  int width, int pitch, int first) {
    copy_rows(x, width, y + first, pitch, rows, width);
}
