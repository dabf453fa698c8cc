// Attention without the matrix of all queries and keys: what all instruction sets share.
//
// A task takes a block of queries past the keys, a block at a time, and keeps for each query the
// largest score so far, the sum of exp(score - largest), and that sum of values; a larger score
// scales both down. Everything is transposed, with queries along the vectors: softmax then needs no
// sum across a vector, and neither keys nor values need rearranging for the products; blocks of them
// are copied only to lie together in the cache:
//
//   scores [keys, queries] = K [keys, width] Q^T [width, queries]
//   out [values, queries] += V^T [values, keys] exp(scores) [keys, queries]
//
// Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"
// (arXiv:1805.02867); Dao et al. 2022, "FlashAttention" (arXiv:2205.14135), algorithm 1.
#pragma once

#include "api.h"
#include "shared.h"

namespace nvfp4 {

// How the work is cut up: tasks of some panels of queries of one head, key blocks within.
struct AttentionPlan {
  int64_t panels;   // of a task
  int64_t columns;  // queries of a panel
  int64_t keys;     // of a block

  static constexpr int64_t kQueries = 256;  // of a task: enough to make up for fetching the keys
  static constexpr int64_t kScoreFloats = 4096;  // of a block: they stay in the first-level cache

  NVFP4_SHARED AttentionPlan(const Nvfp4Attention& shape, int64_t panel_columns)
      : columns(panel_columns) {
    panels = parts(smaller(shape.queries, kQueries), columns);
    keys = smaller(shape.keys, kScoreFloats / columns);
  }

  NVFP4_SHARED int64_t queries() const { return panels * columns; }

  // Of a task's scratch memory: queries, output, scores, largest score and sum of each query, and
  // copies of the block of keys and values. Vectors first, which want to be aligned.
  NVFP4_SHARED int64_t floats(const Nvfp4Attention& shape) const {
    const int64_t vectors = queries() * (shape.width + shape.values + 2) + keys * columns;
    return parts(vectors + keys * (shape.width + shape.values), 16) * 16;
  }
};

// A task: queries `first` to `first + count - 1` of one head, with its pointers at their beginning.
struct AttentionTask {
  const float *q, *k, *v;
  float* out;  // of the head's first query; one query's values are `out_stride` from the next's
  int64_t out_stride, count;
  float* scratch;
};

}  // namespace nvfp4
