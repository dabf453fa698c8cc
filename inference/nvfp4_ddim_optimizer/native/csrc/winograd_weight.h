// G w G^T of the weights of 16 output channels, straight from their codes, or from float32.
#pragma once

#include "e2m1.h"
#include "e4m3.h"
#include "gemm.h"
#include "winograd.h"

namespace nvfp4 {
namespace NVFP4_ISA {

constexpr int kTaps = 9;
constexpr int kGroup = 16;  // output channels that are transformed together

// A block of 16 input channels of one tap, for 16 output channels.
struct Transposed {
  Bytes pairs[8];        // byte o of pairs[k]: the codes of channels 2k (low nibble) and 2k + 1
  float scales[kGroup];  // by output channel
};

// `count` output channels, `code_stride` bytes apart; the others become zero.
NVFP4_INLINE void transpose_blocks(const uint8_t* codes, const uint8_t* scales, float global_scale,
                                   int64_t code_stride, int64_t count, Transposed& to) {
  uint8_t bytes[kGroup * 8];
  for (int o = 0; o < kGroup; ++o) {
    const bool real = o < count;
    to.scales[o] = real ? kE4m3.values[scales[o * (code_stride / 8)]] * global_scale : 0.0f;
    if (real)
      std::memcpy(bytes + 8 * o, codes + o * code_stride, 8);
    else
      std::memset(bytes + 8 * o, 0, 8);
  }
  // Interleaving the first half with the second turns the index [o3 o2 o1 o0 k2 k1 k0] by one bit;
  // after four turns it is [k2 k1 k0 o3 o2 o1 o0].
  Bytes now[8], next[8];
  for (int i = 0; i < 8; ++i) now[i] = load<Bytes>(bytes + 16 * i);
  for (int turn = 0; turn < 4; ++turn) {
    for (int i = 0; i < 4; ++i) {
      next[2 * i] = zip_low(now[i], now[i + 4]);
      next[2 * i + 1] = zip_high(now[i], now[i + 4]);
    }
    for (int i = 0; i < 8; ++i) now[i] = next[i];
  }
  for (int i = 0; i < 8; ++i) to.pairs[i] = now[i];
}

NVFP4_INLINE void kernel_line(Floats a, Floats b, Floats c, Floats* y) {
  const Floats sixth = broadcast(1.0f / 6);
  y[0] = broadcast(0.25f) * a;
  const Floats outer = broadcast(-1.0f / 6) * (a + c), middle = sixth * b;
  y[1] = outer - middle;
  y[2] = outer + middle;
  const Floats weighted = fma(broadcast(1.0f / 24), a, sixth * c), half = broadcast(1.0f / 12) * b;
  y[3] = weighted + half;
  y[4] = weighted - half;
  y[5] = c;
}

// taps[ky * 3 + kx], a lane an output channel, to 36 positions.
NVFP4_INLINE void transform_kernel(const Floats* taps, float* to, int64_t stride) {
  Floats half[kPatch][3];
  for (int j = 0; j < 3; ++j) {
    Floats column[kPatch];
    kernel_line(taps[j], taps[3 + j], taps[6 + j], column);
    for (int i = 0; i < kPatch; ++i) half[i][j] = column[i];
  }
  for (int i = 0; i < kPatch; ++i) {
    Floats row[kPatch];
    kernel_line(half[i][0], half[i][1], half[i][2], row);
    for (int j = 0; j < kPatch; ++j) store(to + (i * kPatch + j) * stride, row[j]);
  }
}

// Where channel o's lanes of input channel c of position i lie, with o counted from `panels`:
// panels[o / kColumns][i][c][o % kColumns].
NVFP4_INLINE float* weight_at(float* panels, int64_t stride, int64_t o, int64_t c) {
  return panels + o / kColumns * kPositions * stride + c * kColumns + o % kColumns;
}

// Where the weights of 16 output channels go: to channels `o` to `o + 15` of the panels, of which
// `end` bounds what is written where a panel is narrower than 16.
struct WeightTarget {
  float* panels;
  int64_t o, end, stride;
};

// Output channels from `channel` on, of weights in float32.
static void transform_dense(const float* dense, const WinogradShape& shape, int64_t channel,
                            const WeightTarget& to) {
  const int64_t count = smaller(kGroup, shape.o - channel);
  float taps[kTaps][kGroup] = {};
  for (int64_t c = 0; c < shape.c; ++c) {
    for (int64_t o = 0; o < count; ++o)
      for (int tap = 0; tap < kTaps; ++tap)
        taps[tap][o] = dense[((channel + o) * kTaps + tap) * shape.c + c];
    for (int lane = 0; lane < kGroup && to.o + lane < to.end; lane += kLanes) {
      Floats values[kTaps];
      for (int tap = 0; tap < kTaps; ++tap) values[tap] = load<Floats>(taps[tap] + lane);
      transform_kernel(values, weight_at(to.panels, to.stride, to.o + lane, c), to.stride);
    }
  }
}

// Output channels from `channel` on, of packed weights.
static void transform_packed(const WinogradWeights& weights, const WinogradShape& shape,
                             int64_t channel, const WeightTarget& to) {
  const int64_t blocks = shape.c / 16;
  const int64_t count = smaller(kGroup, shape.o - channel);
  Transposed taps[kTaps];
  for (int64_t block = 0; block < blocks; ++block) {
    for (int tap = 0; tap < kTaps; ++tap) {
      const int64_t at = (channel * kTaps + tap) * blocks + block;
      transpose_blocks(weights.codes + 8 * at, weights.scales + at, weights.global_scale,
                       8 * kTaps * blocks, count, taps[tap]);
    }
    for (int c = 0; c < 16; ++c) {
      UpperHalves halves[kTaps];
      for (int tap = 0; tap < kTaps; ++tap) {
        const Bytes pairs = taps[tap].pairs[c / 2];
        halves[tap] = decode_e2m1(c % 2 ? pairs >> 4 : pairs & 15);
      }
      for (int lane = 0; lane < kGroup && to.o + lane < to.end; lane += kLanes) {
        Floats values[kTaps];
        for (int tap = 0; tap < kTaps; ++tap)
          values[tap] = widen(halves[tap], lane) * load<Floats>(taps[tap].scales + lane);
        transform_kernel(values, weight_at(to.panels, to.stride, to.o + lane, 16 * block + c),
                         to.stride);
      }
    }
  }
}

static void winograd_weights(const WinogradWeights& weights, const WinogradShape& shape,
                             int64_t channel, const WeightTarget& to) {
  if (weights.dense != nullptr)
    transform_dense(weights.dense, shape, channel, to);
  else
    transform_packed(weights, shape, channel, to);
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
