// What every processor of the architecture has: SSE2 on x86-64, NEON on ARM64.
#define NVFP4_ISA baseline
#include "attention_task.h"
#include "block_search.h"
#include "dequantize.h"
#include "kernels.h"
#include "winograd_input.h"
#include "winograd_task.h"

namespace nvfp4 {

const Kernels kBaseline = {
    "baseline",
    baseline::kColumns,
    baseline::dequantize,
    baseline::search_blocks,
    baseline::winograd_input,
    baseline::winograd_task,
    baseline::attention_task,
};

}  // namespace nvfp4
