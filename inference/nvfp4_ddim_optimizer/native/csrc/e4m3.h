// E4M3 bytes to float32: a table, made by the compiler.
#pragma once

#include <cstdint>
#include <limits>

namespace nvfp4 {

struct E4m3Table {
  float values[256];

  constexpr E4m3Table() : values() {
    for (int byte = 0; byte < 256; ++byte) values[byte] = decode(byte);
  }

 private:
  static constexpr float decode(int byte) {
    const int exponent = (byte >> 3) & 15, mantissa = byte & 7;
    if ((byte & 127) == 127) return std::numeric_limits<float>::quiet_NaN();
    // In units of 2^-9, the smallest subnormal number.
    float magnitude = (exponent == 0 ? mantissa : 8 + mantissa) / 512.0f;
    for (int step = 1; step < exponent; ++step) magnitude *= 2.0f;
    return byte & 128 ? -magnitude : magnitude;
  }
};

inline constexpr E4m3Table kE4m3;

}  // namespace nvfp4
