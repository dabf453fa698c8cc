// Compiled with AVX2 and FMA.
#define NVFP4_ISA avx2
#include "dequantize.h"
#include "kernels.h"

namespace nvfp4 {

const Kernels kAvx2 = {"avx2", avx2::dequantize};

}  // namespace nvfp4
