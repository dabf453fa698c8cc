// Compiled with AVX2 and FMA.
#define NVFP4_ISA avx2
#include "attention_task.h"
#include "block_search.h"
#include "dequantize.h"
#include "kernels.h"
#include "winograd_input.h"
#include "winograd_task.h"

namespace nvfp4 {

const Kernels kAvx2 = {
    "avx2",
    avx2::kColumns,
    avx2::dequantize,
    avx2::search_blocks,
    avx2::winograd_input,
    avx2::winograd_task,
    avx2::attention_task,
};

}  // namespace nvfp4
