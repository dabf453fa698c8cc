// What all instruction sets share.
#pragma once

#include <cstdint>

// Compiled for several instruction sets, these must never exist as functions of their own: the
// linker would keep one of the versions for all callers.
#define NVFP4_SHARED inline __attribute__((always_inline))

namespace nvfp4 {

NVFP4_SHARED constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
NVFP4_SHARED constexpr int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }
NVFP4_SHARED constexpr int64_t parts(int64_t whole, int64_t size) {
  return (whole + size - 1) / size;
}

}  // namespace nvfp4
