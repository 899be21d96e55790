// softmax_cross_entropy: with p the softmax of a row and t its smoothed target,
//   t[r, j] = keep * [j = labels[r]] + spread      keep = 1 - e, spread = e / classes, e the smoothing
//   losses[r] = -sum_j t[r, j] * log p[r, j]                              (S0 section 6)
//   dlogits[r, j] = share * (p[r, j] - t[r, j])
//   loss = share * sum_r losses[r]                 share = 1 / rows under "mean", else 1
// implements A19 C4 S2:BP1 E14
//
// logits    scalar_t (rows, classes); dlogits likewise; labels int (rows); losses (rows), a workspace
// labels    one outside 0..classes-1 makes its loss and its row of dlogits NaN: the host cannot look
//           at it without waiting for the device, the check for finite values finds it
// mapping, launch and why it is race-free: rows.cuh; softmax_cross_entropy_reduce: one block of 256
// cost      3 exponentials and 6 FLOPs an element; logits are read from memory once, then from the
//           cache; 2 * sizeof(scalar_t) bytes an element
#include "loss.cuh"
#include "rows.cuh"

extern "C" __global__ void softmax_cross_entropy(const scalar_t* __restrict__ logits,
                                                 const int* __restrict__ labels,
                                                 scalar_t* __restrict__ losses,
                                                 scalar_t* __restrict__ dlogits, int rows,
                                                 int classes, scalar_t keep, scalar_t spread,
                                                 scalar_t share) {
    __shared__ scalar_t scratch[32];
    const uint32 row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;  // a whole team: blocks of several rows have no barrier
    logits += row * classes;
    dlogits += row * classes;
    const int label = labels[row];
    if (label < 0 || label >= classes) {
        const scalar_t nan = __int_as_float(0x7fffffff);
        for (uint32 j = threadIdx.x; j < uint32(classes); j += blockDim.x) dlogits[j] = nan;
        if (threadIdx.x == 0) losses[row] = nan;
        return;
    }
    const RowPowers powers = row_powers(logits, classes, scratch);
    const scalar_t log_total = log(powers.total);
    scalar_t negative_logs = 0;
    for (uint32 j = threadIdx.x; j < uint32(classes); j += blockDim.x) {
        const scalar_t shifted = logits[j] - powers.top;
        const scalar_t target = j == uint32(label) ? keep : scalar_t(0);
        negative_logs += log_total - shifted;
        dlogits[j] = (exp(shifted) / powers.total - spread - target) * share;
    }
    negative_logs = team_sum(negative_logs, scratch);
    if (threadIdx.x == 0) {
        scalar_t loss = keep * (log_total - (logits[label] - powers.top));
        if (spread > scalar_t(0)) loss += spread * negative_logs;  // else 0 * inf for a logit of -inf
        losses[row] = loss;
    }
}

extern "C" __global__ void softmax_cross_entropy_reduce(const scalar_t* __restrict__ losses,
                                                        scalar_t* __restrict__ loss, int rows,
                                                        scalar_t share) {
    __shared__ scalar_t scratch[32];
    add_parts(losses, rows, share, loss, scratch);
}
