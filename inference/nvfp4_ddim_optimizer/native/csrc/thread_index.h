// Which of OpenMP's threads runs: each has scratch memory of its own.
#pragma once

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace nvfp4 {

static inline int thread_index() {
#if defined(_OPENMP)
  return omp_get_thread_num();
#else
  return 0;
#endif
}

}  // namespace nvfp4
