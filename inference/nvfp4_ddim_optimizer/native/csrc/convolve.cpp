// A convolution by Winograd's algorithm, shared out among OpenMP's threads.
#include "api.h"
#include "kernels.h"
#include "thread_index.h"

using namespace nvfp4;

namespace {

WinogradShape winograd_shape(const Nvfp4Convolution& of) { return {of.n, of.h, of.w, of.c, of.o}; }

void convolve(const WinogradShape& shape, const float* x, const WinogradWeights& weights,
              float* out, float* scratch, int32_t threads) {
  const Kernels& table = kernels();
  const WinogradPlan plan(shape, table.columns, threads);
  const int64_t stride = plan.patch_stride(shape), width = plan.panels * plan.columns;
  const int64_t channel_tasks = parts(shape.o, width);
  float* const patches = scratch;
  float* const private_scratch = scratch + plan.patch_floats(shape);
#pragma omp parallel num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < shape.tiles(); first += plan.stripe) {
    const int64_t tiles = smaller(plan.stripe, shape.tiles() - first);
    const int64_t blocks = parts(tiles, plan.block);
#pragma omp for schedule(dynamic, 4)
    for (int64_t tile = 0; tile < tiles; ++tile)
      table.winograd_input(x, shape, first + tile, 1, patches + tile * shape.c, stride);
#pragma omp for schedule(dynamic, 1)
    for (int64_t index = 0; index < blocks * channel_tasks; ++index) {
      const int64_t at = index / channel_tasks * plan.block;
      WinogradTask task;
      task.tile = first + at;
      task.tiles = smaller(plan.block, tiles - at);
      task.channel = index % channel_tasks * width;
      task.patches = patches + at * shape.c;
      task.scratch = private_scratch + thread_index() * plan.thread_floats(shape);
      task.out = out;
      table.winograd_task(shape, plan, weights, task);
    }
  }
}

}  // namespace

int64_t nvfp4_convolve_scratch(const Nvfp4Convolution* convolution, int32_t threads) {
  const WinogradShape shape = winograd_shape(*convolution);
  const WinogradPlan plan(shape, kernels().columns, threads);
  return plan.patch_floats(shape) + threads * plan.thread_floats(shape);
}

void nvfp4_convolve(const Nvfp4Convolution* convolution, const float* x, const uint8_t* codes,
                    const uint8_t* scales, const float* global_scale, const float* bias, float* out,
                    float* scratch, int32_t threads) {
  const WinogradWeights weights = {nullptr, codes, scales, *global_scale, bias};
  convolve(winograd_shape(*convolution), x, weights, out, scratch, threads);
}

void nvfp4_convolve_dense(const Nvfp4Convolution* convolution, const float* x, const float* weight,
                          const float* bias, float* out, float* scratch, int32_t threads) {
  const WinogradWeights weights = {weight, nullptr, nullptr, 0, bias};
  convolve(winograd_shape(*convolution), x, weights, out, scratch, threads);
}
