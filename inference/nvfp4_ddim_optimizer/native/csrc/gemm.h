// The innermost product: a few rows of A times a panel of B, all in registers.
//
// B is stored as panels of kColumns columns: b[k][column]. A is read where it lies, row by row: one
// number of each row is broadcast at a time, so its rows need no packing.
#pragma once

#include "vector.h"

// Before loops over accumulators: unrolled early, they stay in registers all the time. Otherwise
// GCC keeps them on the stack before and after the loop over the depth.
#define NVFP4_UNROLL _Pragma("GCC unroll 16")

namespace nvfp4 {
namespace NVFP4_ISA {

// As many accumulators as leave registers for a row of B and one number of A.
#if defined(__AVX512F__)
constexpr int kRows = 12, kVectors = 2;
#elif defined(__AVX2__)
constexpr int kRows = 6, kVectors = 2;
#elif defined(__aarch64__)
constexpr int kRows = 6, kVectors = 4;
#else
constexpr int kRows = 4, kVectors = 2;
#endif
constexpr int kColumns = kVectors * kLanes;

// How A lies in memory: the numbers of a row together, or those of a column.
enum class Order { kRows, kColumns };

// c[rows][kColumns] (+)= a[rows][depth] * b[depth][kColumns]
template <int rows, Order order>
static void multiply_rows(const float* a, int64_t a_stride, const float* b, int64_t depth, float* c,
                          bool accumulate) {
  Floats sums[rows][kVectors] = {};
  if (accumulate)
    NVFP4_UNROLL for (int i = 0; i < rows; ++i)
      NVFP4_UNROLL for (int j = 0; j < kVectors; ++j)
        sums[i][j] = load<Floats>(c + i * kColumns + j * kLanes);
  for (int64_t k = 0; k < depth; ++k) {
    Floats row[kVectors];
    NVFP4_UNROLL for (int j = 0; j < kVectors; ++j)
      row[j] = load<Floats>(b + k * kColumns + j * kLanes);
    NVFP4_UNROLL for (int i = 0; i < rows; ++i) {
      const int64_t at = order == Order::kRows ? i * a_stride + k : k * a_stride + i;
      const Floats value = broadcast(a[at]);
      NVFP4_UNROLL for (int j = 0; j < kVectors; ++j) sums[i][j] = fma(value, row[j], sums[i][j]);
    }
  }
  NVFP4_UNROLL for (int i = 0; i < rows; ++i)
    NVFP4_UNROLL for (int j = 0; j < kVectors; ++j)
      store(c + i * kColumns + j * kLanes, sums[i][j]);
}

template <int rows, Order order>
NVFP4_INLINE void multiply_remaining(int64_t count, const float* a, int64_t a_stride,
                                     const float* b, int64_t depth, float* c, bool accumulate) {
  if (count == rows) {
    multiply_rows<rows, order>(a, a_stride, b, depth, c, accumulate);
  } else if constexpr (rows > 1) {
    multiply_remaining<rows - 1, order>(count, a, a_stride, b, depth, c, accumulate);
  }
}

// The same for any number of rows, split as evenly as can be: 8 rows are 4 + 4 rather than 6 + 2.
template <Order order = Order::kRows>
static void multiply_panel(int64_t rows, const float* a, int64_t a_stride, const float* b,
                           int64_t depth, float* c, bool accumulate) {
  const int64_t groups = (rows + kRows - 1) / kRows;
  for (int64_t group = 0, row = 0; group < groups; ++group) {
    const int64_t count = (rows - row + groups - group - 1) / (groups - group);
    const float* at = a + (order == Order::kRows ? row * a_stride : row);
    multiply_remaining<kRows, order>(count, at, a_stride, b, depth, c + row * kColumns, accumulate);
    row += count;
  }
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
