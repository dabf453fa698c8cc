// The C interface's kernels: they share the work out among OpenMP's threads.
#include "api.h"
#include "kernels.h"

using namespace nvfp4;

bool nvfp4_has_threads() {
#if defined(_OPENMP)
  return true;
#else
  return false;
#endif
}

void nvfp4_dequantize(const uint8_t* codes, const uint8_t* scales, const float* global_scale,
                      int64_t blocks, int32_t format, void* out, int32_t threads) {
  const auto dequantize = kernels().dequantize;
  const float scale = *global_scale;
  const int64_t chunk = 4096;  // blocks: 256 KiB of float32, so that a small weight stays with one
  const int64_t chunks = parts(blocks, chunk);
  const int64_t block_bytes = format == NVFP4_FLOAT32 ? 64 : 32;
  (void)threads;
#pragma omp parallel for num_threads(threads) if (chunks > 1 && threads > 1)
  for (int64_t i = 0; i < chunks; ++i) {
    const int64_t first = i * chunk, count = smaller(chunk, blocks - first);
    dequantize(codes + 8 * first, scales + first, scale, count, format,
               static_cast<uint8_t*>(out) + first * block_bytes);
  }
}

void nvfp4_search_blocks(const Nvfp4Search* search, int32_t threads) {
  const auto search_blocks = kernels().search_blocks;
  const int64_t chunk = 1024;  // blocks: a fraction of a millisecond
  const int64_t chunks = parts(search->count, chunk);
  (void)threads;
#pragma omp parallel for num_threads(threads) if (chunks > 1 && threads > 1)
  for (int64_t i = 0; i < chunks; ++i) {
    const int64_t first = i * chunk;
    search_blocks(*search, first, smaller(chunk, search->count - first));
  }
}
