// out (m, n) = A (m, k) * B (k, n), tiled: the products of the linear layer.
//
// operands  A_K_FAST: a is stored (m, k), else (k, m); B_K_FAST: b is stored (n, k), else (k, n)
// mapping   a block of 16 x 16 threads makes a TILE_M x TILE_N tile of the product, each thread
//           TILE_M / 16 x TILE_N / 16 sums in registers. Tiles of TILE_K along k go from global memory
//           through registers into one of two buffers in shared memory, so the loads of the next tile
//           are on their way while this one is multiplied; one barrier a tile
// split     blockIdx.z takes the `chunk` of k that begins at blockIdx.z * chunk and writes the z-th
//           (m, n) matrix of `out`; gemm_reduce then adds those in order. With one chunk `out` is the
//           result itself, and the sums end in it as in gemm_reduce (epilogue.cuh)
// launch    grid (tiles of m * tiles of n, 1, chunks), block 256
// macros    TILE_M, TILE_N (multiples of 16, and of 16 * kVector or smaller), TILE_K (of kVector)
// order     every sum runs along k from the first element of its chunk, whatever the tile
// race-free each element of `out` is written by one thread
// cost      2 m n k FLOPs; a is read from memory n / TILE_N times, b m / TILE_M times
#ifndef GPUCNN_GEMM_CUH
#define GPUCNN_GEMM_CUH
#include "epilogue.cuh"

#ifndef TILE_M
#define TILE_M 64
#endif
#ifndef TILE_N
#define TILE_N 64
#endif
#ifndef TILE_K
// A large tile has much to multiply a step, and no registers left to carry more of the next one.
#define TILE_K (TILE_M * TILE_N < 128 * 128 ? 16 : 8)
#endif

struct GemmParams {
    int m, n, k;
    int chunk;  // of k, a multiple of TILE_K; the whole of k or more: no split
};

constexpr int kSide = 16;
constexpr int kThreads = kSide * kSide;
// Blocks for a multiprocessor to hold at once, so that the largest tile leaves room for two; 0: as many
// as come about.
constexpr int kBlocks = TILE_M * TILE_N / kThreads >= 64 ? 2 : 0;
// Rows of a tile in shared memory, one for each k, are apart by a vector more than they are long: still
// aligned, and the transposing stores of put() spread over the banks.
constexpr int kPitchA = TILE_M + kVector, kPitchB = TILE_N + kVector;
constexpr int kBufferA = TILE_K * kPitchA, kBufferB = TILE_K * kPitchB;
constexpr int kGemmShared = 2 * (kBufferA + kBufferB);

// Vectors of a tile that one thread carries.
template <int EXTENT>
constexpr int kCarried = (TILE_K * EXTENT / kVector + kThreads - 1) / kThreads;

// Where in its tile the i-th vector of a thread lies; `inside` is false for threads left over.
struct Place {
    int along_k, along_extent;
    bool inside;
};

template <bool K_FAST, int EXTENT>
DEVICE Place place_of(int i) {
    constexpr int row = (K_FAST ? TILE_K : EXTENT) / kVector;
    const int vector = threadIdx.x + i * kThreads, fast = vector % row * kVector, slow = vector / row;
    return {K_FAST ? fast : slow, K_FAST ? slow : fast, vector < TILE_K * EXTENT / kVector};
}

// Loads the tile at (k0, first) of an operand of `extent` x `depth`, zeros beyond `extent` and `k_end`.
template <bool K_FAST, int EXTENT>
DEVICE void fetch(Pack<kVector> (&held)[kCarried<EXTENT>], const scalar_t* source, uint32 extent,
                  uint32 depth, uint32 first, uint32 k0, uint32 k_end) {
    const uint32 pitch = K_FAST ? depth : extent, limit = K_FAST ? k_end : extent;
    const bool whole = pitch % kVector == 0 && aligned(source);
#pragma unroll
    for (int i = 0; i < kCarried<EXTENT>; ++i) {
        const Place place = place_of<K_FAST, EXTENT>(i);
        const uint32 k = k0 + place.along_k, e = first + place.along_extent;
        const uint32 slow = K_FAST ? e : k, fast = K_FAST ? k : e;
        const bool row = place.inside && slow < (K_FAST ? extent : k_end);
        const scalar_t* const address = source + (row ? slow * pitch + fast : 0);
        if (row && whole && fast < limit)
            held[i] = load_pack<kVector>(address);
        else
#pragma unroll
            for (int v = 0; v < kVector; ++v)
                held[i].v[v] = row && fast + v < limit ? address[v] : scalar_t(0);
    }
}

// Stores what fetch() loaded as rows of one k each.
template <bool K_FAST, int EXTENT, int PITCH>
DEVICE void put(scalar_t* tile, const Pack<kVector> (&held)[kCarried<EXTENT>]) {
#pragma unroll
    for (int i = 0; i < kCarried<EXTENT>; ++i) {
        const Place place = place_of<K_FAST, EXTENT>(i);
        if (!place.inside) continue;
        scalar_t* const address = tile + place.along_k * PITCH + place.along_extent;
        if (K_FAST)
#pragma unroll
            for (int v = 0; v < kVector; ++v) address[v * PITCH] = held[i].v[v];
        else
            store_pack(address, held[i]);
    }
}

// A thread's elements of a tile's row come in vectors, those of neighbours side by side: WIDTH at
// place * WIDTH, the next kSide * WIDTH further on.
template <int EXTENT>
constexpr int kWidth = EXTENT / kSide < kVector ? EXTENT / kSide : kVector;

template <int EXTENT>
DEVICE int element_of(int place, int i) {
    constexpr int width = kWidth<EXTENT>;
    return i / width * (kSide * width) + place * width + i % width;
}

template <int EXTENT>
DEVICE void read_row(scalar_t (&values)[EXTENT / kSide], const scalar_t* row, int place) {
    constexpr int width = kWidth<EXTENT>;
#pragma unroll
    for (int i = 0; i < EXTENT / kSide; i += width) {
        const Pack<width> pack = load_pack<width>(row + element_of<EXTENT>(place, i));
#pragma unroll
        for (int v = 0; v < width; ++v) values[i + v] = pack.v[v];
    }
}

DEVICE void write_tile(const scalar_t (&sums)[TILE_M / kSide][TILE_N / kSide], const scalar_t* bias,
                       const Epilogue& end, scalar_t* out, uint32 base, uint32 m, uint32 n, uint32 first_m, uint32 first_n) {
    constexpr int width = kWidth<TILE_N>;
    const bool whole = n % width == 0 && aligned(out + base) && aligned(end);
#pragma unroll
    for (int i = 0; i < TILE_M / kSide; ++i) {
        const uint32 row = first_m + element_of<TILE_M>(threadIdx.x / kSide, i);
#pragma unroll
        for (int j = 0; j < TILE_N / kSide; j += width) {
            const uint32 column = first_n + element_of<TILE_N>(threadIdx.x % kSide, j);
            if (row >= m || column >= n) continue;
            const uint32 at = base + row * n + column;
            Pack<width> pack;
#pragma unroll
            for (int v = 0; v < width; ++v) {
                const bool biased = bias != nullptr && column + v < n;
                pack.v[v] = sums[i][j + v] + (biased ? bias[column + v] : scalar_t(0));
            }
            if (whole)
                store_pack(out + at, finish(pack, end, at));
            else
#pragma unroll
                for (int v = 0; v < width; ++v)
                    if (column + v < n) out[at + v] = finish(pack.v[v], end, at + v);
        }
    }
}

// The whole of a block's work. `shared` holds kGemmShared scalars, aligned to 16 bytes.
template <bool A_K_FAST, bool B_K_FAST>
DEVICE void gemm(scalar_t* shared, const scalar_t* a, const scalar_t* b, const scalar_t* bias,
                 const Epilogue& end, scalar_t* out, const GemmParams& g) {
    scalar_t* const tiles_a = shared;
    scalar_t* const tiles_b = shared + 2 * kBufferA;
    const uint32 tiles_n = (uint32(g.n) + TILE_N - 1) / TILE_N;
    const uint32 first_m = blockIdx.x / tiles_n * TILE_M, first_n = blockIdx.x % tiles_n * TILE_N;
    const uint32 k_begin = blockIdx.z * g.chunk;
    const uint32 k_end = min(uint32(g.k), k_begin + g.chunk);
    Pack<kVector> held_a[kCarried<TILE_M>], held_b[kCarried<TILE_N>];
    scalar_t sums[TILE_M / kSide][TILE_N / kSide] = {};

    fetch<A_K_FAST, TILE_M>(held_a, a, g.m, g.k, first_m, k_begin, k_end);
    fetch<B_K_FAST, TILE_N>(held_b, b, g.n, g.k, first_n, k_begin, k_end);
    int buffer = 0;
    for (uint32 k = k_begin; k < k_end; k += TILE_K, buffer ^= 1) {
        scalar_t* const tile_a = tiles_a + buffer * kBufferA;
        scalar_t* const tile_b = tiles_b + buffer * kBufferB;
        put<A_K_FAST, TILE_M, kPitchA>(tile_a, held_a);
        put<B_K_FAST, TILE_N, kPitchB>(tile_b, held_b);
        // One barrier is enough: whoever stores into this buffer again has passed the next one, which
        // every thread reaches after its reads here.
        __syncthreads();
        if (k + TILE_K < k_end) {
            fetch<A_K_FAST, TILE_M>(held_a, a, g.m, g.k, first_m, k + TILE_K, k_end);
            fetch<B_K_FAST, TILE_N>(held_b, b, g.n, g.k, first_n, k + TILE_K, k_end);
        }
#pragma unroll
        for (int step = 0; step < TILE_K; ++step) {
            scalar_t row_a[TILE_M / kSide], row_b[TILE_N / kSide];
            read_row<TILE_M>(row_a, tile_a + step * kPitchA, threadIdx.x / kSide);
            read_row<TILE_N>(row_b, tile_b + step * kPitchB, threadIdx.x % kSide);
#pragma unroll
            for (int i = 0; i < TILE_M / kSide; ++i)
#pragma unroll
                for (int j = 0; j < TILE_N / kSide; ++j) sums[i][j] += row_a[i] * row_b[j];
        }
    }
    write_tile(sums, bias, end, out, blockIdx.z * (uint32(g.m) * g.n), g.m, g.n, first_m, first_n);
}

// y[i] = the end of bias[i % n] + sum_z parts[z, i] over the chunks z in order, i of `count` = m * n.
DEVICE void gemm_reduce(const scalar_t* parts, const scalar_t* bias, const Epilogue& end, scalar_t* y,
                        int count, int n, int chunks) {
    const uint32 threads = gridDim.x * blockDim.x;
    for (uint32 i = blockIdx.x * blockDim.x + threadIdx.x; i < uint32(count); i += threads) {
        scalar_t sum = parts[i];
        for (int z = 1; z < chunks; ++z) sum += parts[z * uint32(count) + i];
        y[i] = finish(bias == nullptr ? sum : sum + bias[i % n], end, i);
    }
}

#endif  // GPUCNN_GEMM_CUH
