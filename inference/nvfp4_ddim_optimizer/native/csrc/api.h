// The C interface of the library: plain pointers and sizes, no exceptions, no allocation.
// The caller owns every buffer, so that torch's allocator and its accounting stay in charge.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#define NVFP4_API extern "C" __declspec(dllexport)
#else
#define NVFP4_API extern "C" __attribute__((visibility("default")))
#endif

// Element types of dequantised weights.
enum Nvfp4Format : int32_t { NVFP4_FLOAT32 = 0, NVFP4_BFLOAT16 = 1, NVFP4_FLOAT16 = 2 };

// Names of the instruction sets that this build has and this processor can run, best first,
// separated by commas.
NVFP4_API const char* nvfp4_instruction_sets();

// The one in use.
NVFP4_API const char* nvfp4_instruction_set();

// Use another one from now on, in all threads; null: the best. False if it can't be run here.
NVFP4_API bool nvfp4_select(const char* name);

// Whether the library was built with OpenMP.
NVFP4_API bool nvfp4_has_threads();

// Dequantise `blocks` blocks of 16 into `out`, which has room for 16 * blocks elements.
// codes: 8 bytes a block, low nibble first. scales: one E4M3 byte a block.
// The product is taken in float32 and rounded once more where `format` is shorter.
NVFP4_API void nvfp4_dequantize(const uint8_t* codes, const uint8_t* scales,
                                const float* global_scale, int64_t blocks, int32_t format,
                                void* out, int32_t threads);

// A 3x3 convolution, stride 1, padding 1, one group: x [n, h, w, c] -> out [n, h, w, o], both
// channels last and without gaps; c is a multiple of 16.
typedef struct {
  int64_t n, h, w, c, o;
} Nvfp4Convolution;

// Floats of scratch memory that nvfp4_convolve needs.
NVFP4_API int64_t nvfp4_convolve_scratch(const Nvfp4Convolution* shape, int32_t threads);

// codes [o, 3, 3, c / 2], scales [o, 3, 3, c / 16], bias [o] or null. scratch: 64-byte aligned.
NVFP4_API void nvfp4_convolve(const Nvfp4Convolution* shape, const float* x, const uint8_t* codes,
                              const uint8_t* scales, const float* global_scale, const float* bias,
                              float* out, float* scratch, int32_t threads);

// Attention of every query to all keys: softmax(scale q k^T) v, head by head.
// q [batch, heads, queries, width], k [batch, heads, keys, width], v [batch, heads, keys, values];
// the numbers of a token lie together, the other distances are free, counted in floats.
typedef struct {
  int64_t batch, heads, queries, keys, width, values;
  int64_t q_stride[3], k_stride[3], v_stride[3];  // between pictures, heads, and tokens
  float scale;
} Nvfp4Attention;

// Floats of scratch memory that nvfp4_attend needs.
NVFP4_API int64_t nvfp4_attend_scratch(const Nvfp4Attention* shape, int32_t threads);

// out [batch, queries, heads, values], without gaps. scratch: 64-byte aligned.
NVFP4_API void nvfp4_attend(const Nvfp4Attention* shape, const float* q, const float* k,
                            const float* v, float* out, float* scratch, int32_t threads);

// The same with weights in float32: weight [o, 3, 3, c].
NVFP4_API void nvfp4_convolve_dense(const Nvfp4Convolution* shape, const float* x,
                                    const float* weight, const float* bias, float* out,
                                    float* scratch, int32_t threads);

// Tables of the search below: a number for each scale, that of E4M3 byte b at NVFP4_SEARCH_BELOW + b.
enum { NVFP4_SEARCH_ROWS = 176, NVFP4_SEARCH_BELOW = 16 };

// A rate-distortion optimised search; see nvfp4/block_search.py.
struct Nvfp4Search {
  const float* blocks;      // [count, 16], in units of the global scale
  const float* importance;  // [count, 16], or null: all weights alike
  const uint8_t* bases;     // [count], E4M3 byte of amax / 6
  const float* tables;      // [11, rows]: 2 / scale, scale^2, the scale's cost, costs of codes 0 to 7
  int64_t count;
  int32_t first_step;  // the first scale to try, as a distance from the base: -16 or more
  int32_t steps;       // how many; the last is at most 12 above the base
  uint8_t* codes;      // [count, 8], out
  uint8_t* scales;     // [count], out
};

NVFP4_API void nvfp4_search_blocks(const Nvfp4Search* search, int32_t threads);
