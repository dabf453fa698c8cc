// One task of a convolution: weights, products and output of some tiles and output channels.
#pragma once

#include "winograd_output.h"
#include "winograd_weight.h"

namespace nvfp4 {
namespace NVFP4_ISA {

constexpr int64_t kDepth = 320;  // most input channels at a time: a panel of B then stays in L1

static void winograd_task(const WinogradShape& shape, const WinogradPlan& plan,
                          const WinogradWeights& weights, const WinogradTask& task) {
  const int64_t end = smaller(plan.panels * kColumns, shape.o - task.channel);
  const int64_t panels = parts(end, kColumns);
  const int64_t weight_stride = plan.weight_stride(shape), product_stride = plan.product_stride();
  float* products = task.scratch + plan.panels * kPositions * weight_stride;
  for (int64_t o = 0; o < panels * kColumns; o += kGroup)
    winograd_weights(weights, shape, task.channel + o,
                     {task.scratch, o, panels * kColumns, weight_stride});
  const int64_t depth_parts = parts(shape.c, kDepth), most = parts(shape.c, depth_parts);
  for (int64_t position = 0; position < kPositions; ++position) {
    const float* a = task.patches + position * plan.patch_stride(shape);
    for (int64_t c = 0; c < shape.c; c += most) {
      const int64_t depth = smaller(most, shape.c - c);
      for (int64_t panel = 0; panel < panels; ++panel) {
        const int64_t index = panel * kPositions + position;
        multiply_panel(task.tiles, a + c, shape.c,
                       task.scratch + index * weight_stride + c * kColumns, depth,
                       products + index * product_stride, c > 0);
      }
    }
  }
  for (int64_t panel = 0; panel < panels; ++panel)
    winograd_output(products + panel * kPositions * product_stride, product_stride, weights.bias,
                    shape, task.tile, task.tiles, task.channel + panel * kColumns, task.out);
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
