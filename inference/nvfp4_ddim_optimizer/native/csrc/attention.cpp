// Attention, shared out among OpenMP's threads.
#include "api.h"
#include "kernels.h"
#include "thread_index.h"

using namespace nvfp4;

int64_t nvfp4_attend_scratch(const Nvfp4Attention* shape, int32_t threads) {
  return threads * AttentionPlan(*shape, kernels().columns).floats(*shape);
}

void nvfp4_attend(const Nvfp4Attention* attention, const float* q, const float* k, const float* v,
                  float* out, float* scratch, int32_t threads) {
  const Kernels& table = kernels();
  const Nvfp4Attention& shape = *attention;
  const AttentionPlan plan(shape, table.columns);
  (void)threads;  // without OpenMP there is one
  const int64_t blocks = parts(shape.queries, plan.queries());
  const int64_t tasks = shape.batch * shape.heads * blocks;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1 && tasks > 1)
  for (int64_t index = 0; index < tasks; ++index) {
    const int64_t head = index / blocks % shape.heads, picture = index / blocks / shape.heads;
    const int64_t first = index % blocks * plan.queries();
    const auto offset = [&](const int64_t* stride) { return picture * stride[0] + head * stride[1]; };
    AttentionTask task;
    task.q = q + offset(shape.q_stride) + first * shape.q_stride[2];
    task.k = k + offset(shape.k_stride);
    task.v = v + offset(shape.v_stride);
    task.out_stride = shape.heads * shape.values;
    task.out = out + (picture * shape.queries + first) * task.out_stride + head * shape.values;
    task.count = smaller(plan.queries(), shape.queries - first);
    task.scratch = scratch + thread_index() * plan.floats(shape);
    table.attention_task(shape, plan, task);
  }
}
