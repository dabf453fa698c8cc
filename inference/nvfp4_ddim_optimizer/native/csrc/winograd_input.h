// B^T x B of every patch.
#pragma once

#include "vector.h"
#include "winograd.h"

namespace nvfp4 {
namespace NVFP4_ISA {

NVFP4_INLINE void patch_line(const Floats* x, Floats* y) {
  const Floats four = broadcast(4), minus_four = broadcast(-4), minus_five = broadcast(-5);
  y[0] = fma(four, x[0], fma(minus_five, x[2], x[4]));
  const Floats even = fma(minus_four, x[2], x[4]), odd = fma(minus_four, x[1], x[3]);
  y[1] = even + odd;
  y[2] = even - odd;
  const Floats difference = x[4] - x[2], slope = x[3] - x[1];
  y[3] = fma(broadcast(2), slope, difference);
  y[4] = fma(broadcast(-2), slope, difference);
  y[5] = fma(four, x[1], fma(minus_five, x[3], x[5]));
}

// x: the patch's upper left pixel, which may lie outside of the picture. `to`: 36 positions.
template <bool inside>
NVFP4_INLINE void transform_patch(const float* x, const WinogradShape& shape, int64_t top,
                                  int64_t left, float* to, int64_t stride) {
  for (int64_t c = 0; c < shape.c; c += kLanes) {
    Floats half[kPatch][kPatch];
    for (int j = 0; j < kPatch; ++j) {
      Floats column[kPatch], transformed[kPatch];
      const bool in_row = inside || (left + j >= 0 && left + j < shape.w);
      for (int i = 0; i < kPatch; ++i) {
        const bool in = inside || (in_row && top + i >= 0 && top + i < shape.h);
        column[i] = in ? load<Floats>(x + (i * shape.w + j) * shape.c + c) : Floats{};
      }
      patch_line(column, transformed);
      for (int i = 0; i < kPatch; ++i) half[i][j] = transformed[i];
    }
    for (int i = 0; i < kPatch; ++i) {
      Floats row[kPatch];
      patch_line(half[i], row);
      for (int j = 0; j < kPatch; ++j) store(to + (i * kPatch + j) * stride + c, row[j]);
    }
  }
}

// Patches of tiles `first` to `first + count - 1` into to[36][count][c].
static void winograd_input(const float* x, const WinogradShape& shape, int64_t first, int64_t count,
                           float* to, int64_t stride) {
  const int64_t across = shape.tiles_across(), down = shape.tiles_down();
  for (int64_t tile = first; tile < first + count; ++tile, to += shape.c) {
    const int64_t top = tile / across % down * kTile - 1, left = tile % across * kTile - 1;
    const int64_t image = tile / across / down;
    const float* corner = x + ((image * shape.h + top) * shape.w + left) * shape.c;
    const bool inside =
        top >= 0 && left >= 0 && top + kPatch <= shape.h && left + kPatch <= shape.w;
    if (inside)
      transform_patch<true>(corner, shape, top, left, to, stride);
    else
      transform_patch<false>(corner, shape, top, left, to, stride);
  }
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
