// Compiled with AVX-512 F, BW, DQ and VL.
#define NVFP4_ISA avx512
#include "attention_task.h"
#include "block_search.h"
#include "dequantize.h"
#include "kernels.h"
#include "winograd_input.h"
#include "winograd_task.h"

namespace nvfp4 {

const Kernels kAvx512 = {
    "avx512",
    avx512::kColumns,
    avx512::dequantize,
    avx512::search_blocks,
    avx512::winograd_input,
    avx512::winograd_task,
    avx512::attention_task,
};

}  // namespace nvfp4
