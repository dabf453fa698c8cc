// Compiled with AVX-512 F, BW, DQ and VL.
#define NVFP4_ISA avx512
#include "block_search.h"
#include "dequantize.h"
#include "kernels.h"

namespace nvfp4 {

const Kernels kAvx512 = {"avx512", avx512::dequantize, avx512::search_blocks};

}  // namespace nvfp4
