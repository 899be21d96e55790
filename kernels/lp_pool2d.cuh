// The power of an LP pool, alike in both passes.
#ifndef GPUCNN_LP_POOL2D_CUH
#define GPUCNN_LP_POOL2D_CUH
#include "pooling.cuh"

// base^exponent for base >= 0; powers of L1 and L2 pools without a logarithm.
DEVICE scalar_t power(scalar_t base, scalar_t exponent) {
    if (exponent == scalar_t(0)) return scalar_t(1);
    if (exponent == scalar_t(1)) return base;
    if (exponent == scalar_t(2)) return base * base;
    if (exponent == scalar_t(0.5)) return sqrt(base);
    return pow(base, exponent);
}

#endif  // GPUCNN_LP_POOL2D_CUH
