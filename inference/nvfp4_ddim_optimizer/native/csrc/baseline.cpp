// What every processor of the architecture has: SSE2 on x86-64, NEON on ARM64.
#define NVFP4_ISA baseline
#include "block_search.h"
#include "dequantize.h"
#include "kernels.h"

namespace nvfp4 {

const Kernels kBaseline = {"baseline", baseline::dequantize, baseline::search_blocks};

}  // namespace nvfp4
