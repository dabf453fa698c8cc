// The native kernels against scalar code, without torch: for emulators and sanitizers.
// Buffers are exactly as large as the interface asks for.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "api.h"

namespace {

int failures = 0;
std::mt19937 generator(7);

void expect(bool good, const std::string& what) {
  if (!good) std::printf("FAILED: %s\n", what.c_str()), ++failures;
}

double e2m1(int code) {
  const double magnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return code & 8 ? -magnitudes[code & 7] : magnitudes[code & 7];
}

double e4m3(int byte) {
  const int exponent = byte >> 3, mantissa = byte & 7;
  return exponent ? std::ldexp(8 + mantissa, exponent - 10) : std::ldexp(mantissa, -9);
}

// A matrix of `blocks` random blocks, and what it means.
struct Packed {
  std::vector<uint8_t> codes, scales;
  float global_scale;

  Packed(int64_t blocks, float scale, int lowest = 0, int highest = 126)
      : codes(8 * blocks), scales(blocks), global_scale(scale) {
    for (auto& byte : codes) byte = generator() & 255;
    for (auto& byte : scales) byte = lowest + generator() % (highest - lowest + 1);
  }
  float value(int64_t i) const {
    const float factor = static_cast<float>(e4m3(scales[i / 16])) * global_scale;
    return static_cast<float>(e2m1(codes[i / 2] >> (i % 2 * 4) & 15)) * factor;
  }
};

// `bits` of mantissa (the leading one included), no exponent below `lowest`, nothing above `most`.
double round_to(double value, int bits, int lowest, double most) {
  if (value == 0) return value;
  const int exponent = std::max(std::ilogb(value), lowest);
  const double unit = std::ldexp(1.0, exponent - bits + 1);
  const double rounded = std::nearbyint(value / unit) * unit;
  return std::fabs(rounded) > most ? std::copysign(INFINITY, value) : rounded;
}

double from_float16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 31 ? INFINITY
                           : exponent     ? std::ldexp(1024 + mantissa, exponent - 25)
                                          : std::ldexp(mantissa, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

float from_bfloat16(uint16_t bits) {
  const uint32_t word = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

bool same(double a, double b) { return a == b && std::signbit(a) == std::signbit(b); }

void check_dequantize(const std::string& isa, int64_t blocks, float scale, int threads) {
  const Packed packed(blocks, scale);
  std::vector<float> whole(16 * blocks);
  std::vector<uint16_t> brain(16 * blocks), half(16 * blocks);
  const auto run = [&](int format, void* out) {
    nvfp4_dequantize(packed.codes.data(), packed.scales.data(), &packed.global_scale, blocks,
                     format, out, threads);
  };
  run(NVFP4_FLOAT32, whole.data());
  run(NVFP4_BFLOAT16, brain.data());
  run(NVFP4_FLOAT16, half.data());
  bool good = true;
  for (int64_t i = 0; i < 16 * blocks; ++i) {
    const double value = packed.value(i);
    good &= same(whole[i], value);
    good &= same(from_bfloat16(brain[i]), round_to(value, 8, -126, 3.4e38));
    good &= same(from_float16(half[i]), round_to(value, 11, -14, 65504));
  }
  expect(good, isa + " dequantize blocks=" + std::to_string(blocks) + " scale=" +
                   std::to_string(scale));
}

void check_convolve(const std::string& isa, const Nvfp4Convolution& s, bool with_bias,
                    int threads) {
  // Scales from 1/4 to 4. Taps that fall off the picture's edge add rounding errors of their own
  // size, so beside taps that are thousands of times smaller no relative bound would hold.
  const Packed weights(s.o * 9 * s.c / 16, 0.01f, 0x28, 0x48);
  std::normal_distribution<float> normal;
  std::vector<float> x(s.n * s.h * s.w * s.c), bias(s.o), out(s.n * s.h * s.w * s.o);
  for (auto& value : x) value = normal(generator);
  for (auto& value : bias) value = normal(generator);
  const size_t bytes = nvfp4_convolve_scratch(&s, threads) * sizeof(float);
  float* scratch = static_cast<float*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  nvfp4_convolve(&s, x.data(), weights.codes.data(), weights.scales.data(), &weights.global_scale,
                 with_bias ? bias.data() : nullptr, out.data(), scratch, threads);
  std::vector<float> dense(s.o * 9 * s.c), again(out.size());
  for (size_t i = 0; i < dense.size(); ++i) dense[i] = weights.value(i);
  nvfp4_convolve_dense(&s, x.data(), dense.data(), with_bias ? bias.data() : nullptr, again.data(),
                       scratch, threads);
  std::free(scratch);
  expect(again == out, isa + " convolve with dense weights");
  double error = 0, energy = 0;  // of the terms' magnitudes: sums may cancel to nearly nothing
  for (int64_t at = 0; at < s.n * s.h * s.w * s.o; ++at) {
    const int64_t o = at % s.o, px = at / s.o % s.w, py = at / s.o / s.w % s.h;
    const int64_t image = at / s.o / s.w / s.h;
    double sum = with_bias ? bias[o] : 0, magnitude = std::fabs(sum);
    for (int tap = 0; tap < 9; ++tap) {
      const int64_t y = py + tap / 3 - 1, column = px + tap % 3 - 1;
      if (y < 0 || y >= s.h || column < 0 || column >= s.w) continue;
      for (int64_t c = 0; c < s.c; ++c) {
        const double term = static_cast<double>(x[((image * s.h + y) * s.w + column) * s.c + c]) *
                            weights.value((o * 9 + tap) * s.c + c);
        sum += term;
        magnitude += std::fabs(term);
      }
    }
    error += (out[at] - sum) * (out[at] - sum);
    energy += magnitude * magnitude;
  }
  expect(std::sqrt(error / energy) < 1e-5,
         isa + " convolve c=" + std::to_string(s.c) + " o=" + std::to_string(s.o) + " h=" +
             std::to_string(s.h) + " w=" + std::to_string(s.w) + " error=" +
             std::to_string(std::sqrt(error / energy)));
}

// Tokens of 2 pictures and 2 heads, heads of a token together as a layer's projection leaves them.
void check_attend(const std::string& isa, int64_t queries, int64_t keys, int64_t width,
                  int64_t values, int threads) {
  const int64_t batch = 2, heads = 2;
  Nvfp4Attention s = {batch, heads, queries, keys, width, values, {}, {}, {}, 0.3f};
  std::normal_distribution<float> normal;
  const auto make = [&](int64_t tokens, int64_t numbers, int64_t* stride) {
    stride[0] = tokens * heads * numbers, stride[1] = numbers, stride[2] = heads * numbers;
    std::vector<float> made(batch * stride[0]);
    for (auto& value : made) value = normal(generator);
    return made;
  };
  const auto q = make(queries, width, s.q_stride), k = make(keys, width, s.k_stride);
  const auto v = make(keys, values, s.v_stride);
  std::vector<float> out(batch * queries * heads * values);
  const size_t bytes = nvfp4_attend_scratch(&s, threads) * sizeof(float);
  float* scratch = static_cast<float*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  nvfp4_attend(&s, q.data(), k.data(), v.data(), out.data(), scratch, threads);
  std::free(scratch);
  double worst = 0;
  for (int64_t at = 0; at < batch * queries * heads; ++at) {
    const int64_t head = at % heads, picture = at / heads / queries;
    const auto begin = [&](const std::vector<float>& of, const int64_t* stride, int64_t token) {
      return of.data() + picture * stride[0] + head * stride[1] + token * stride[2];
    };
    const float* query = begin(q, s.q_stride, at / heads % queries);
    std::vector<double> sums(values);
    double whole = 0;
    for (int64_t key = 0; key < keys; ++key) {
      double score = 0;
      for (int64_t i = 0; i < width; ++i)
        score += static_cast<double>(query[i]) * begin(k, s.k_stride, key)[i];
      const double weight = std::exp(0.3f * score);
      whole += weight;
      for (int64_t i = 0; i < values; ++i) sums[i] += weight * begin(v, s.v_stride, key)[i];
    }
    for (int64_t i = 0; i < values; ++i)
      worst = std::max(worst, std::fabs(out[at * values + i] - sums[i] / whole));
  }
  expect(worst < 1e-5, isa + " attend queries=" + std::to_string(queries) + " keys=" +
                           std::to_string(keys) + " error=" + std::to_string(worst));
}

void check(const std::string& isa) {
  expect(nvfp4_select(isa.c_str()) && isa == nvfp4_instruction_set(), "select " + isa);
  for (const int threads : {1, 3}) {
    for (const float scale : {1.0f, 0.37f, 1e-7f, 300.0f, 1e-30f, 1e30f})
      check_dequantize(isa, 37, scale, threads);
    check_dequantize(isa, 9001, 0.01f, threads);
    for (const int64_t queries : {1, 15, 17, 260})
      for (const int64_t keys : {1, 7, 300}) check_attend(isa, queries, keys, 9, 13, threads);
    for (const Nvfp4Convolution& shape : std::vector<Nvfp4Convolution>{
             {1, 1, 1, 16, 1}, {1, 4, 4, 16, 16}, {2, 5, 7, 32, 40}, {3, 9, 6, 48, 17},
             {1, 13, 8, 336, 33}, {2, 50, 26, 16, 3}}) {
      check_convolve(isa, shape, true, threads);
      check_convolve(isa, shape, false, threads);
    }
  }
}

}  // namespace

int main() {
  const std::string names = nvfp4_instruction_sets();
  for (size_t at = 0; at < names.size();) {
    const size_t comma = std::min(names.find(',', at), names.size());
    check(names.substr(at, comma - at));
    at = comma + 1;
  }
  expect(!nvfp4_select("none"), "an unknown instruction set is refused");
  expect(nvfp4_select(nullptr), "back to the best one");
  std::printf("%s: %d failures\n", names.c_str(), failures);
  return failures != 0;
}
