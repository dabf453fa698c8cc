// Rate-distortion optimised search: the best scale and codes of blocks of 16. Step by step the same
// as `nvfp4/block_search.py`, which explains it; both give the same bytes, since every product with
// a code's magnitude is exact and sums are taken in the same order.
#pragma once

#include <limits>

#include "api.h"
#include "vector.h"

namespace nvfp4 {
namespace NVFP4_ISA {

// Views of the caller's table: rows of NVFP4_SEARCH_ROWS numbers.
struct SearchTables {
  const float *reciprocals, *squares, *scale_costs, *code_costs;

  explicit SearchTables(const float* table)
      : reciprocals(table),
        squares(table + NVFP4_SEARCH_ROWS),
        scale_costs(table + 2 * NVFP4_SEARCH_ROWS),
        code_costs(table + 3 * NVFP4_SEARCH_ROWS) {}
};

NVFP4_INLINE Floats lower(Floats a, Floats b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return (Floats)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__) && !defined(__AVX512F__)
  return (Floats)_mm_min_ps((__m128)a, (__m128)b);
#else
  return (Floats)select((Mask)(a < b), (Words)a, (Words)b);
#endif
}

// kLanes neighbouring scales at once: the lines of codes 0 to 7, without the weight's own part.
struct Lines {
  Floats reciprocals, heights[8];
};

template <bool weighted>
NVFP4_INLINE Lines lines_of(const SearchTables& tables, int64_t row) {
  const float squares[8] = {0.0f, 0.25f, 1.0f, 2.25f, 4.0f, 9.0f, 16.0f, 36.0f};
  Lines lines;
  lines.reciprocals = load<Floats>(tables.reciprocals + row);
  for (int k = 0; k < 8; ++k) {
    lines.heights[k] = load<Floats>(tables.code_costs + k * NVFP4_SEARCH_ROWS + row);
    if (!weighted) lines.heights[k] += broadcast(squares[k]);
  }
  return lines;
}

// The lowest line at a weight of this magnitude and importance.
template <bool weighted>
NVFP4_INLINE Floats lowest(const Lines& lines, float magnitude, float importance) {
  Floats v = broadcast(magnitude) * lines.reciprocals;
  Floats h[8];
  for (int k = 0; k < 8; ++k) h[k] = lines.heights[k];
  if (weighted) {
    const Floats one = broadcast(importance), nine = broadcast(importance * 9.0f);
    v *= one;
    h[1] += one * 0.25f, h[2] += one, h[4] += one * 4.0f, h[6] += one * 16.0f;
    h[3] += nine * 0.25f, h[5] += nine, h[7] += nine * 4.0f;
  }
  const Floats three = v * 3.0f;
  const Floats zero_half = lower(h[0], fma(v, broadcast(-0.5f), h[1]));
  const Floats ones = lower(fma(v, broadcast(-1.0f), h[2]), fma(three, broadcast(-0.5f), h[3]));
  const Floats twos = lower(fma(v, broadcast(-2.0f), h[4]), fma(three, broadcast(-1.0f), h[5]));
  const Floats fours = lower(fma(v, broadcast(-4.0f), h[6]), fma(three, broadcast(-2.0f), h[7]));
  return lower(lower(zero_half, ones), lower(twos, fours));
}

// Row of the cheapest scale among rows first to first + count - 1; the lowest wins a tie.
template <bool weighted>
NVFP4_INLINE int64_t cheapest_row(const float* magnitudes, const float* importance,
                                  const SearchTables& tables, int64_t first, int32_t count) {
  int64_t best_row = first;
  float best = std::numeric_limits<float>::infinity();
  for (int32_t done = 0; done < count; done += kLanes) {
    const int64_t row = first + done;
    const Lines lines = lines_of<weighted>(tables, row);
    Floats sums[8];
    for (int i = 0; i < 8; ++i)
      sums[i] = lowest<weighted>(lines, magnitudes[i], weighted ? importance[i] : 1.0f) +
                lowest<weighted>(lines, magnitudes[i + 8], weighted ? importance[i + 8] : 1.0f);
    for (int half = 4; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
    const Floats costs = sums[0] * load<Floats>(tables.squares + row) +
                         load<Floats>(tables.scale_costs + row);
    for (int lane = 0; lane < kLanes && done + lane < count; ++lane)
      if (costs[lane] < best) best = costs[lane], best_row = row + lane;
  }
  return best_row;
}

// The cheapest code of every weight, given the scale; of equal ones the lowest.
template <bool weighted>
NVFP4_INLINE void choose_codes(const float* block, const float* importance,
                               const SearchTables& tables, int64_t row, uint8_t* packed) {
  const float factors[8] = {0.0f, 0.5f, 1.0f, 0.5f, 2.0f, 1.0f, 4.0f, 2.0f};
  const float squares[8] = {0.0f, 0.25f, 1.0f, 0.25f, 4.0f, 1.0f, 16.0f, 4.0f};
  uint32_t codes[16];
  for (int lane = 0; lane < 16; lane += kLanes) {
    const Floats weights = load<Floats>(block + lane);
    const Mask negative = (Mask)(weights < 0.0f);
    Floats v = (Floats)((Words)weights & 0x7FFFFFFF) * broadcast(tables.reciprocals[row]);
    Floats one = broadcast(1.0f);
    if (weighted) one = load<Floats>(importance + lane), v *= one;
    const Floats three = v * 3.0f, nine = one * 9.0f;
    Floats lowest = broadcast(tables.code_costs[row]);
    Words chosen = {};
    for (int k = 1; k < 8; ++k) {
      const bool of_three = k == 3 || k == 5 || k == 7;
      const Floats height = broadcast(tables.code_costs[k * NVFP4_SEARCH_ROWS + row]) +
                            (of_three ? nine : one) * squares[k];
      const Floats line = fma(of_three ? three : v, broadcast(-factors[k]), height);
      const Mask better = (Mask)(line < lowest);
      lowest = lower(line, lowest);
      chosen = select(better, Words{} + k, chosen);
    }
    const Words sign = (Words)(negative & (Mask)(chosen > 0)) & 8;
    store(codes + lane, chosen | sign);
  }
  for (int i = 0; i < 8; ++i)
    packed[i] = static_cast<uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
}

template <bool weighted>
static void search_blocks_as(const Nvfp4Search& search, int64_t first, int64_t count) {
  const SearchTables tables(search.tables);
  for (int64_t block = first; block < first + count; ++block) {
    uint8_t* packed = search.codes + 8 * block;
    const uint8_t base = search.bases[block];
    if (base == 0) {
      std::memset(packed, 0, 8);
      search.scales[block] = 0;
      continue;
    }
    const float* weights = search.blocks + 16 * block;
    const float* importance = weighted ? search.importance + 16 * block : nullptr;
    float magnitudes[16];
    for (int i = 0; i < 16; ++i) magnitudes[i] = weights[i] < 0.0f ? -weights[i] : weights[i];
    const int64_t start = base + NVFP4_SEARCH_BELOW + search.first_step;
    const int64_t row =
        cheapest_row<weighted>(magnitudes, importance, tables, start, search.steps);
    choose_codes<weighted>(weights, importance, tables, row, packed);
    search.scales[block] = static_cast<uint8_t>(row - NVFP4_SEARCH_BELOW);
  }
}

static void search_blocks(const Nvfp4Search& search, int64_t first, int64_t count) {
  if (search.importance != nullptr)
    search_blocks_as<true>(search, first, count);
  else
    search_blocks_as<false>(search, first, count);
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
