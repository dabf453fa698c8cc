#!/usr/bin/env bash
# Builds the kernels with their self-test and runs it. Exit status 77: a tool is missing.
#
#   selftest.sh host | sanitizers | arm64
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
sources="$here/../../../inference/nvfp4_ddim_optimizer/native/csrc"
flags=(-std=c++17 -O2 -ffp-contract=off -fvisibility=hidden -Wall -Wextra -Werror "-I$sources")
compiler="${CXX:-g++}"
runner=()

need() {
  command -v "$1" >/dev/null || { echo "selftest.sh: $1 is not installed" >&2; exit 77; }
}

case "${1:-host}" in
  host) flags+=(-fopenmp) ;;
  # Without OpenMP, whose runtime the sanitizers don't know; undefined behaviour ends the program.
  sanitizers)
    flags+=(-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Wno-unknown-pragmas)
    ;;
  arm64)
    compiler=aarch64-linux-gnu-g++
    runner=(qemu-aarch64)
    flags+=(-static -Wno-unknown-pragmas)
    need qemu-aarch64
    ;;
  *) echo "usage: selftest.sh host | sanitizers | arm64" >&2; exit 2 ;;
esac
need "$compiler"

build="$(mktemp -d)"
trap 'rm -rf "$build"' EXIT
for source in "$sources"/*.cpp "$here/selftest.cpp"; do
  extra=()
  case "$(basename "$source")" in
    avx2.cpp) extra=(-mavx2 -mfma) ;;
    avx512.cpp) extra=(-mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl) ;;
  esac
  if [[ ${#extra[@]} -gt 0 && "$("$compiler" -dumpmachine)" != x86_64* ]]; then
    continue
  fi
  object="$build/$(basename "$source").o"
  "$compiler" "${flags[@]}" "${extra[@]+"${extra[@]}"}" -c "$source" -o "$object"
  # A function that several instruction sets share might be linked in the version of one that the
  # processor lacks, so none may exist in these objects.
  if grep -q NVFP4_ISA "$source" && [[ "${1:-host}" == host ]] && nm -C "$object" | grep ' [WV] '; then
    echo "selftest.sh: $(basename "$source") has functions that the linker may share" >&2
    exit 1
  fi
done
"$compiler" "${flags[@]}" "$build"/*.o -o "$build/selftest"
"${runner[@]+"${runner[@]}"}" "$build/selftest"
