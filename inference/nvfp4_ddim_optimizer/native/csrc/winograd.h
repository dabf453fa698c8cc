// Convolution 3x3, stride 1, padding 1, by Winograd's F(4x4, 3x3): what all instruction sets share.
//
//   output tile = A^T [ (G w G^T) * (B^T x B) ] A        per tile of 4x4 pixels, * element by element
//
// Summed over input channels, the element-wise products are 36 independent matrix products
// [tiles, C] x [C, O]: 2.25 multiplications an output and input channel instead of 9.
//
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, section 4.3.
#pragma once

#include "shared.h"

namespace nvfp4 {

constexpr int kTile = 4;        // side of an output tile
constexpr int kPatch = 6;       // side of the input patch beneath it
constexpr int kPositions = 36;  // kPatch * kPatch

// An image batch [n, h, w, c], channels last, convolved to [n, h, w, o].
struct WinogradShape {
  int64_t n, h, w, c, o;

  NVFP4_SHARED int64_t tiles_down() const { return parts(h, kTile); }
  NVFP4_SHARED int64_t tiles_across() const { return parts(w, kTile); }
  NVFP4_SHARED int64_t tiles() const { return n * tiles_down() * tiles_across(); }
};

// How the work is cut up. Input patches are transformed for a stripe of tiles at a time; a task is
// a block of a stripe's tiles and a few panels of output channels, and transforms the weights that
// it needs from their codes: never are all transformed weights in memory, nor all patches.
struct WinogradPlan {
  int64_t stripe, block, panels;
  int64_t columns;  // output channels of a panel

  static constexpr int64_t kStripeFloats = 16 << 20;  // 64 MiB of transformed patches
  static constexpr int64_t kBlockTiles = 128;  // enough to make up for transforming the weights
  static constexpr int64_t kPanelFloats = 768 << 10;  // 3 MiB of transformed weights a thread

  NVFP4_SHARED WinogradPlan(const WinogradShape& shape, int64_t panel_columns,
                            int64_t threads)
      : columns(panel_columns) {
    const int64_t tiles = shape.tiles();
    const int64_t most = larger(kBlockTiles, kStripeFloats / (kPositions * shape.c));
    stripe = even_part(tiles, most);
    block = even_part(stripe, kBlockTiles);
    const int64_t all = parts(shape.o, columns);
    const int64_t fit = kPanelFloats / (kPositions * shape.c * columns);
    const int64_t fair = all * parts(stripe, block) / (4 * threads);
    panels = larger(1, smaller(smaller(fit, fair), 4));
  }

  // Distances between the 36 positions. One cache line more than a multiple of 64 lines, or all of
  // them would fall into the same set of the cache.
  NVFP4_SHARED int64_t patch_stride(const WinogradShape& shape) const { return padded(stripe * shape.c); }
  NVFP4_SHARED int64_t weight_stride(const WinogradShape& shape) const { return padded(shape.c * columns); }
  NVFP4_SHARED int64_t product_stride() const { return padded(block * columns); }

  NVFP4_SHARED int64_t patch_floats(const WinogradShape& shape) const {
    return kPositions * patch_stride(shape);
  }
  NVFP4_SHARED int64_t thread_floats(const WinogradShape& shape) const {
    return panels * kPositions * (weight_stride(shape) + product_stride());
  }

 private:
  NVFP4_SHARED static int64_t even_part(int64_t whole, int64_t most) {
    return parts(whole, parts(whole, most));
  }
  NVFP4_SHARED static int64_t padded(int64_t floats) { return parts(floats, 1024) * 1024 + 16; }
};

// Packed weights, or dense ones.
struct WinogradWeights {
  const float* dense;     // [o, 3, 3, c], or null
  const uint8_t* codes;   // [o, 3, 3, c / 2]
  const uint8_t* scales;  // [o, 3, 3, c / 16]
  float global_scale;
  const float* bias;  // [o], or null
};

// A task: tiles `tile` to `tile + tiles - 1`, whose patches begin at `patches`, and output channels
// from `channel` on, as many as the plan's panels have.
struct WinogradTask {
  int64_t tile, tiles, channel;
  const float* patches;
  float* scratch;
  float* out;
};

}  // namespace nvfp4
