// One task of attention: a block of queries of one head against all of its keys.
#pragma once

#include "attention.h"
#include "exponential.h"
#include "gemm.h"

namespace nvfp4 {
namespace NVFP4_ISA {

// Of one query each, in base 2: scores carry a factor log2(e).
struct Softmax {
  float *largest, *sum;
};

// Tokens' numbers, `stride` apart, to [count][width].
static void copy_tokens(const float* from, int64_t stride, int64_t count, int64_t width, float* to) {
  for (int64_t token = 0; token < count; ++token)
    std::memcpy(to + token * width, from + token * stride, width * sizeof(float));
}

// Scaled queries to panels [width][kColumns]; columns without a query are zeros.
static void pack_queries(const float* q, int64_t stride, int64_t count, int64_t width, float scale,
                         float* panels) {
  for (int64_t first = 0; first < count; first += kColumns)
    for (int64_t column = 0; column < kColumns; ++column)
      for (int64_t i = 0; i < width; ++i) {
        const int64_t query = first + column;
        panels[first * width + i * kColumns + column] =
            query < count ? q[query * stride + i] * scale : 0;
      }
}

// Scores [keys][kColumns] become exp(score - largest); what was summed for the queries is scaled
// down where a larger score turned up: `out` [values][kColumns], and the sums.
static void exponentiate(float* scores, int64_t keys, Softmax softmax, float* out, int64_t values) {
  Floats largest[kVectors], sum[kVectors], factor[kVectors];
  for (int j = 0; j < kVectors; ++j) largest[j] = load<Floats>(softmax.largest + j * kLanes);
  for (int64_t key = 0; key < keys; ++key)
    for (int j = 0; j < kVectors; ++j)
      largest[j] = maximum(load<Floats>(scores + key * kColumns + j * kLanes), largest[j]);
  for (int j = 0; j < kVectors; ++j) {
    factor[j] = exp2_of_negative(load<Floats>(softmax.largest + j * kLanes) - largest[j]);
    sum[j] = load<Floats>(softmax.sum + j * kLanes) * factor[j];
  }
  for (int64_t key = 0; key < keys; ++key)
    for (int j = 0; j < kVectors; ++j) {
      float* const at = scores + key * kColumns + j * kLanes;
      const Floats power = exp2_of_negative(load<Floats>(at) - largest[j]);
      store(at, power);
      sum[j] += power;
    }
  for (int64_t i = 0; i < values; ++i)
    for (int j = 0; j < kVectors; ++j) {
      float* const at = out + i * kColumns + j * kLanes;
      store(at, load<Floats>(at) * factor[j]);
    }
  for (int j = 0; j < kVectors; ++j) {
    store(softmax.largest + j * kLanes, largest[j]);
    store(softmax.sum + j * kLanes, sum[j]);
  }
}

// out [values][kColumns] over the sums, to rows of tokens.
static void write_output(const float* out, const float* sum, int64_t queries, int64_t values,
                         float* to, int64_t stride) {
  for (int64_t query = 0; query < queries; ++query) {
    const float factor = 1 / sum[query];
    for (int64_t i = 0; i < values; ++i) to[query * stride + i] = out[i * kColumns + query] * factor;
  }
}

static void attention_task(const Nvfp4Attention& shape, const AttentionPlan& plan,
                           const AttentionTask& task) {
  constexpr float kLog2E = 1.44269504f, kLowest = -3e38f;
  const int64_t width = shape.width, values = shape.values, columns = plan.queries();
  float* const queries = task.scratch;
  float* const out = queries + columns * width;
  float* const scores = out + columns * values;
  const Softmax softmax = {scores + plan.keys * kColumns, scores + plan.keys * kColumns + columns};
  float* const k = softmax.sum + columns;
  float* const v = k + plan.keys * width;
  pack_queries(task.q, shape.q_stride[2], task.count, width, shape.scale * kLog2E, queries);
  std::memset(out, 0, columns * values * sizeof(float));
  for (int64_t i = 0; i < columns; ++i) softmax.largest[i] = kLowest, softmax.sum[i] = 0;
  for (int64_t first = 0; first < shape.keys; first += plan.keys) {
    const int64_t keys = smaller(plan.keys, shape.keys - first);
    copy_tokens(task.k + first * shape.k_stride[2], shape.k_stride[2], keys, width, k);
    copy_tokens(task.v + first * shape.v_stride[2], shape.v_stride[2], keys, values, v);
    for (int64_t query = 0; query < task.count; query += kColumns) {
      float* const panel = out + query * values;
      multiply_panel(keys, k, width, queries + query * width, width, scores, false);
      exponentiate(scores, keys, {softmax.largest + query, softmax.sum + query}, panel, values);
      multiply_panel<Order::kColumns>(values, v, values, scores, keys, panel, true);
    }
  }
  for (int64_t query = 0; query < task.count; query += kColumns)
    write_output(out + query * values, softmax.sum + query, smaller(kColumns, task.count - query),
                 values, task.out + query * task.out_stride, task.out_stride);
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
