// Compiled with AVX2 and FMA.
#define NVFP4_ISA avx2
#include "block_search.h"
#include "dequantize.h"
#include "kernels.h"

namespace nvfp4 {

const Kernels kAvx2 = {"avx2", avx2::dequantize, avx2::search_blocks};

}  // namespace nvfp4
