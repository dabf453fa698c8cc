// Picks the kernels for this processor.
#include <atomic>
#include <cstring>

#include "api.h"
#include "kernels.h"

namespace nvfp4 {
namespace {

struct Candidates {
  const Kernels* tables[4] = {};
  int count = 0;
  char names[64] = "";

  Candidates() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      add(kAvx512);
    if (avx2) add(kAvx2);
#endif
    add(kBaseline);
  }

 private:
  void add(const Kernels& table) {
    if (count > 0) std::strcat(names, ",");
    std::strcat(names, table.name);
    tables[count++] = &table;
  }
};

const Candidates& candidates() {
  static const Candidates found;
  return found;
}

std::atomic<const Kernels*> selected{nullptr};

}  // namespace

const Kernels& kernels() {
  const Kernels* table = selected.load(std::memory_order_relaxed);
  return table != nullptr ? *table : *candidates().tables[0];
}

}  // namespace nvfp4

using namespace nvfp4;

const char* nvfp4_instruction_sets() { return candidates().names; }

const char* nvfp4_instruction_set() { return kernels().name; }

bool nvfp4_select(const char* name) {
  const Candidates& all = candidates();
  for (int i = 0; i < all.count; ++i) {
    if (name == nullptr || std::strcmp(all.tables[i]->name, name) == 0) {
      selected.store(all.tables[i], std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}
