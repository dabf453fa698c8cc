// E2M1 codes to float32. Every E2M1 number has zeros in the lower half of its float32, so the upper
// half is looked up, byte by byte, and widened: exact, and -0 stays -0.
#pragma once

#include "vector.h"

namespace nvfp4 {
namespace NVFP4_ISA {

// The upper halves of 16 float32 numbers, in order.
struct UpperHalves {
  uint16_t values[16];
};

NVFP4_INLINE UpperHalves decode_e2m1(Bytes codes) {
  const Bytes high = {0x00, 0x3F, 0x3F, 0x3F, 0x40, 0x40, 0x40, 0x40,
                      0x80, 0xBF, 0xBF, 0xBF, 0xC0, 0xC0, 0xC0, 0xC0};
  const Bytes low = {0x00, 0x00, 0x80, 0xC0, 0x00, 0x40, 0x80, 0xC0,
                     0x00, 0x00, 0x80, 0xC0, 0x00, 0x40, 0x80, 0xC0};
  const Bytes h = look_up(high, codes), l = look_up(low, codes);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian processors"
#endif
  UpperHalves halves;
  store(halves.values, zip_low(l, h));
  store(halves.values + 8, zip_high(l, h));
  return halves;
}

// Numbers first to first + kLanes - 1.
NVFP4_INLINE Floats widen(const UpperHalves& halves, int first) {
  return (Floats)(__builtin_convertvector(load<Halves>(halves.values + first), Words) << 16);
}

// The 16 codes of a block, each in a byte of its own: the low nibble is the even element.
NVFP4_INLINE Bytes unpack_block(const uint8_t* packed) {
  Bytes pairs = {};
  std::memcpy(&pairs, packed, 8);
  return zip_low(pairs & 15, pairs >> 4);
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
