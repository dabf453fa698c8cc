// 2^x for vectors.
#pragma once

#include "vector.h"

namespace nvfp4 {
namespace NVFP4_ISA {

// For x <= 0; to within 2e-7 of it, and below 2^-126 that. Not a number stays that.
NVFP4_INLINE Floats exp2_of_negative(Floats x) {
  // Added to this, a number is rounded to an integer, which then is in its lowest bits.
  const Floats shifter = broadcast(12582912.0f);  // 1.5 * 2^23
  x = maximum(broadcast(-126), x);
  const Floats shifted = x + shifter;
  const Floats rest = x - (shifted - shifter);  // -0.5 to 0.5
  // The polynomial of degree 5 whose largest relative error there is least, in pairs of terms:
  // a chain of five products would take longer than all other operations.
  const Floats square = rest * rest;
  const Floats low = fma(rest, broadcast(6.9314694e-1f), broadcast(1.0000001f));
  const Floats middle = fma(rest, broadcast(5.5507135e-2f), broadcast(2.4022120e-1f));
  const Floats high = fma(rest, broadcast(1.3276464e-3f), broadcast(9.6755419e-3f));
  const Floats power = fma(fma(high, square, middle), square, low);
  return (Floats)((Words)power + ((Words)shifted << 23));
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
