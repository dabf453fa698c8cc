// What every instruction set provides; dispatch.cpp picks one table of these.
#pragma once

#include <cstdint>

#include "api.h"
#include "attention.h"
#include "winograd.h"

namespace nvfp4 {

struct Kernels {
  const char* name;
  int64_t columns;  // of a panel: output channels, or queries
  void (*dequantize)(const uint8_t* codes, const uint8_t* scales, float global_scale,
                     int64_t blocks, int32_t format, void* out);
  void (*search_blocks)(const Nvfp4Search& search, int64_t first, int64_t count);
  void (*winograd_input)(const float* x, const WinogradShape& shape, int64_t first, int64_t count,
                         float* to, int64_t stride);
  void (*winograd_task)(const WinogradShape& shape, const WinogradPlan& plan,
                        const WinogradWeights& weights, const WinogradTask& task);
  void (*attention_task)(const Nvfp4Attention& shape, const AttentionPlan& plan,
                         const AttentionTask& task);
};

extern const Kernels kBaseline;
#if defined(__x86_64__)
extern const Kernels kAvx2, kAvx512;
#endif

const Kernels& kernels();

}  // namespace nvfp4
