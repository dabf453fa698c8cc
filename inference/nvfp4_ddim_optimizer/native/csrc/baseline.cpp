// What every processor of the architecture has: SSE2 on x86-64, NEON on ARM64.
#define NVFP4_ISA baseline
#include "dequantize.h"
#include "kernels.h"

namespace nvfp4 {

const Kernels kBaseline = {"baseline", baseline::dequantize};

}  // namespace nvfp4
