// Vectors of float32 as wide as the instruction set that this translation unit is compiled for.
// GCC's and Clang's vector extensions give arithmetic on them; only what those can't say is written
// for each instruction set. Everything lives in a namespace of its own for every instruction set:
// an inline function shared between them could be linked in the version that the processor lacks.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if !defined(NVFP4_ISA)
#error "NVFP4_ISA must be the name of the namespace"
#endif

#define NVFP4_INLINE static inline __attribute__((always_inline))

namespace nvfp4 {
namespace NVFP4_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef int32_t Mask __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Halves __attribute__((vector_size(2 * kLanes)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

template <typename T>
NVFP4_INLINE T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
NVFP4_INLINE void store(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

NVFP4_INLINE Floats broadcast(float value) { return value - Floats{}; }

NVFP4_INLINE Words select(Mask mask, Words yes, Words no) {
  return (yes & (Words)mask) | (no & ~(Words)mask);
}

// The larger one of each pair; b where either is not a number.
NVFP4_INLINE Floats maximum(Floats a, Floats b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return (Floats)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__) && !defined(__AVX512F__)
  return (Floats)_mm_max_ps((__m128)a, (__m128)b);
#else
  return a > b ? a : b;
#endif
}

// a * b + c, rounded once where the instruction set can. Compilation forbids the compiler to fuse
// by itself, since a product that must be rounded would not be.
NVFP4_INLINE Floats fma(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON) && defined(__aarch64__)
  return (Floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

// Bytes of a and b in turn: of their first halves, and of their second halves.
NVFP4_INLINE Bytes zip_low(Bytes a, Bytes b) {
#if defined(__SSE2__)
  return (Bytes)_mm_unpacklo_epi8((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (Bytes)vzip1q_u8((uint8x16_t)a, (uint8x16_t)b);
#else
  Bytes zipped;
  for (int i = 0; i < 8; ++i) zipped[2 * i] = a[i], zipped[2 * i + 1] = b[i];
  return zipped;
#endif
}

NVFP4_INLINE Bytes zip_high(Bytes a, Bytes b) {
#if defined(__SSE2__)
  return (Bytes)_mm_unpackhi_epi8((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (Bytes)vzip2q_u8((uint8x16_t)a, (uint8x16_t)b);
#else
  Bytes zipped;
  for (int i = 0; i < 8; ++i) zipped[2 * i] = a[8 + i], zipped[2 * i + 1] = b[8 + i];
  return zipped;
#endif
}

// table[index] for 16 indices from 0 to 15.
NVFP4_INLINE Bytes look_up(Bytes table, Bytes indices) {
#if defined(__SSSE3__)
  return (Bytes)_mm_shuffle_epi8((__m128i)table, (__m128i)indices);
#elif defined(__aarch64__)
  return (Bytes)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)indices);
#else
  Bytes found;
  for (int i = 0; i < 16; ++i) found[i] = table[indices[i]];
  return found;
#endif
}

}  // namespace NVFP4_ISA
}  // namespace nvfp4
