// A^T m A of every tile, and the bias.
#pragma once

#include "gemm.h"
#include "winograd.h"

namespace nvfp4 {
namespace NVFP4_ISA {

NVFP4_INLINE void tile_line(const Floats* m, Floats* y) {
  const Floats sum = m[1] + m[2], difference = m[1] - m[2];
  const Floats wide_sum = m[3] + m[4], wide_difference = m[3] - m[4];
  y[0] = m[0] + sum + wide_sum;
  y[1] = fma(broadcast(2), wide_difference, difference);
  y[2] = fma(broadcast(4), wide_sum, sum);
  y[3] = fma(broadcast(8), wide_difference, difference) + m[5];
}

// One vector of output channels of a tile: products from 36 positions, `stride` apart.
NVFP4_INLINE void transform_tile(const float* products, int64_t stride, Floats bias,
                                 Floats (*tile)[kTile]) {
  Floats half[kTile][kPatch];
  for (int j = 0; j < kPatch; ++j) {
    Floats column[kPatch], transformed[kTile];
    for (int i = 0; i < kPatch; ++i)
      column[i] = load<Floats>(products + (i * kPatch + j) * stride);
    tile_line(column, transformed);
    for (int i = 0; i < kTile; ++i) half[i][j] = transformed[i];
  }
  for (int i = 0; i < kTile; ++i) {
    tile_line(half[i], tile[i]);
    for (int j = 0; j < kTile; ++j) tile[i][j] += bias;
  }
}

// A panel's products [36][tiles][kColumns] into output channels `channel` on, as many as there are.
static void winograd_output(const float* products, int64_t stride, const float* bias,
                            const WinogradShape& shape, int64_t first, int64_t tiles,
                            int64_t channel, float* out) {
  const int64_t across = shape.tiles_across(), down = shape.tiles_down();
  for (int64_t index = 0; index < tiles; ++index) {
    const int64_t at = first + index, image = at / across / down;
    const int64_t top = at / across % down * kTile, left = at % across * kTile;
    const int64_t rows = smaller(kTile, shape.h - top);
    const int64_t columns = smaller(kTile, shape.w - left);
    float* corner = out + ((image * shape.h + top) * shape.w + left) * shape.o;
    for (int lane = 0; lane < kColumns; lane += kLanes) {
      const int64_t o = channel + lane, count = smaller(kLanes, shape.o - o);
      if (count <= 0) break;
      Floats tile[kTile][kTile], offset = {};
      if (bias != nullptr) std::memcpy(&offset, bias + o, count * sizeof(float));
      transform_tile(products + index * kColumns + lane, stride, offset, tile);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
          float* pixel = corner + (i * shape.w + j) * shape.o + o;
          if (count == kLanes)
            store(pixel, tile[i][j]);
          else
            std::memcpy(pixel, &tile[i][j], count * sizeof(float));
        }
    }
  }
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
