// Blocks of codes to float32, bfloat16 or float16.
#pragma once

#include "api.h"
#include "e2m1.h"
#include "e4m3.h"

namespace nvfp4 {
namespace NVFP4_ISA {

NVFP4_INLINE Halves narrow(Words words) { return __builtin_convertvector(words, Halves); }

// To nearest, ties to even. Products of finite scales are never NaN; one of a NaN scale stays NaN.
NVFP4_INLINE Halves to_bfloat16(Floats values) {
  const Words bits = (Words)values;
  const Words rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  return narrow(select((Mask)(values != values), (bits >> 16) | 0x40, rounded));
}

// To nearest, ties to even, subnormal numbers included; beyond 65504 comes infinity.
NVFP4_INLINE Halves to_float16(Floats values) {
  const Words bits = (Words)values, sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7FFFFFFF;
  const Mask subnormal = (Mask)(magnitude < 0x38800000);  // below 2^-14
  const Mask overflow = (Mask)(magnitude >= 0x477FF000);  // rounds to 65536 or is larger
  const Mask nan = (Mask)(magnitude > 0x7F800000);
  const Words normal = (magnitude + 0xFFF + ((magnitude >> 13) & 1) - (112u << 23)) >> 13;
  // Adding 0.5 leaves multiples of 2^-24 in the mantissa, which float16's subnormal numbers are.
  const Floats half = broadcast(0.5f);
  const Words tiny = (Words)((Floats)magnitude + half) - (Words)half;
  Words result = select(subnormal, tiny, normal);
  result = select(overflow, Words{} + 0x7C00, result);
  return narrow(select(nan, Words{} + 0x7E00, result) | sign);
}

template <int32_t format>
NVFP4_INLINE void dequantize_blocks(const uint8_t* codes, const uint8_t* scales,
                                    float global_scale, int64_t blocks, void* out) {
  uint8_t* to = static_cast<uint8_t*>(out);
  constexpr int size = format == NVFP4_FLOAT32 ? 4 : 2;
  for (int64_t block = 0; block < blocks; ++block) {
    const UpperHalves halves = decode_e2m1(unpack_block(codes + 8 * block));
    const Floats scale = broadcast(kE4m3.values[scales[block]] * global_scale);
    for (int lane = 0; lane < 16; lane += kLanes) {
      const Floats values = widen(halves, lane) * scale;
      uint8_t* at = to + (16 * block + lane) * size;
      if (format == NVFP4_FLOAT32) store(at, values);
      if (format == NVFP4_BFLOAT16) store(at, to_bfloat16(values));
      if (format == NVFP4_FLOAT16) store(at, to_float16(values));
    }
  }
}

static void dequantize(const uint8_t* codes, const uint8_t* scales, float global_scale,
                       int64_t blocks, int32_t format, void* out) {
  if (format == NVFP4_FLOAT32)
    dequantize_blocks<NVFP4_FLOAT32>(codes, scales, global_scale, blocks, out);
  else if (format == NVFP4_BFLOAT16)
    dequantize_blocks<NVFP4_BFLOAT16>(codes, scales, global_scale, blocks, out);
  else
    dequantize_blocks<NVFP4_FLOAT16>(codes, scales, global_scale, blocks, out);
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
