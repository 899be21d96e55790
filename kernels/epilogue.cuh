// What a product's sums pass through on their way to memory: a residual is added, ReLU is applied, or
// what ReLU's gradient cuts is cut. Each is one rounding or a choice, so the bits are those of add,
// relu_forward and relu_backward one after the other.
#ifndef GPUCNN_EPILOGUE_CUH
#define GPUCNN_EPILOGUE_CUH
#include "vector.cuh"

// The arrays have the result's shape; null: nothing to do.
struct Epilogue {
    const scalar_t* residual;
    const scalar_t* relu_y;  // what ReLU made: where it is not above 0, the gradient is 0
    bool relu;
};

// Whether the arrays can be read in packs where the result is written in packs.
DEVICE bool aligned(const Epilogue& end) { return aligned(end.residual) && aligned(end.relu_y); }

// The N results at `at`, from their sums.
template <int N>
DEVICE Pack<N> finish(Pack<N> value, const Epilogue& end, uint32 at) {
    if (end.residual) {
        const Pack<N> other = load_pack<N>(end.residual + at);
#pragma unroll
        for (int v = 0; v < N; ++v) value.v[v] += other.v[v];
    }
    if (end.relu)
#pragma unroll
        for (int v = 0; v < N; ++v) value.v[v] = value.v[v] <= scalar_t(0) ? scalar_t(0) : value.v[v];
    if (end.relu_y) {
        const Pack<N> y = load_pack<N>(end.relu_y + at);
#pragma unroll
        for (int v = 0; v < N; ++v) value.v[v] = y.v[v] <= scalar_t(0) ? scalar_t(0) : value.v[v];
    }
    return value;
}

DEVICE scalar_t finish(scalar_t value, const Epilogue& end, uint32 at) {
    return finish(Pack<1>{{value}}, end, at).v[0];
}

#endif  // GPUCNN_EPILOGUE_CUH
