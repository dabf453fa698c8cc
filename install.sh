#!/usr/bin/env bash
# Installs the library into .venv beside this script, then checks that this machine is ready.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly MINIMUM_PYTHON="3.11"
readonly CPU_INDEX="https://download.pytorch.org/whl/cpu"
readonly VENV=".venv"

usage() {
  cat <<'TEXT'
Usage: ./install.sh [--gpu] [--python PATH]

Makes .venv, installs the nvfp4_ddim_optimizer library and the nvfp4-ddim command into it (no AWS
packages), and ends with verify_setup.py. Running it again updates what is there.

Options:
  --gpu           Install PyTorch's CUDA build (Linux with an NVIDIA driver; some gigabytes).
                  Without it Linux gets the CPU build.
  --python PATH   The Python to make .venv with; 3.11 or newer. Default: the newest one found.
  -h, --help      Show this.

Environment:
  NVFP4_TORCH_INDEX   Package index to look for PyTorch in besides pip's own, in place of the one
                      this script chooses. Empty: none.
TEXT
}

say() { printf '\n==> %s\n' "$*"; }

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

misuse() {
  printf 'install.sh: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

# Whether a Python is new enough and can make virtual environments.
suits() {
  "$1" -c "
import sys, venv, ensurepip
sys.exit(sys.version_info < tuple(map(int, '$MINIMUM_PYTHON'.split('.'))))" >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in python3.14 python3.13 python3.12 python3.11 python3 python; do
    if command -v "$candidate" >/dev/null && suits "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python $MINIMUM_PYTHON or newer that can make virtual environments was found.
  Debian, Ubuntu: apt-get install python3 python3-venv
  macOS:          brew install python
  Or name one:    ./install.sh --python /path/to/python3"
}

torch_index() {
  if [ -n "${NVFP4_TORCH_INDEX+set}" ]; then
    printf '%s' "$NVFP4_TORCH_INDEX"
  elif [ "$gpu" = no ] && [ "$(uname -s)" = Linux ]; then
    # PyPI's Linux build is the CUDA one; the builds for other systems are small anyway.
    printf '%s' "$CPU_INDEX"
  fi
}

gpu=no
python=""
while [ $# -gt 0 ]; do
  case "$1" in
    --gpu) gpu=yes ;;
    --python)
      [ $# -ge 2 ] || misuse "--python needs a path"
      python="$2"
      shift
      ;;
    --python=*) python="${1#--python=}" ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) misuse "unknown argument: $1" ;;
  esac
  shift
done

if [ -z "$python" ]; then
  python="$(find_python)"
elif ! suits "$python"; then
  fail "$python is not a Python $MINIMUM_PYTHON or newer that can make virtual environments"
fi

if [ ! -e "$VENV" ]; then
  say "Making $VENV with $("$python" --version)"
  "$python" -m venv "$VENV"
elif ! suits "$VENV/bin/python"; then
  fail "$VENV is broken or older than Python $MINIMUM_PYTHON. Remove it and run this again: rm -r $VENV"
fi

pip=("$VENV/bin/python" -m pip --disable-pip-version-check)
if [ "$gpu" = yes ] && "${pip[@]}" show torch 2>/dev/null | grep -q '^Version: .*+cpu'; then
  say "Replacing PyTorch's CPU build"
  "${pip[@]}" uninstall --quiet --yes torch
fi

extra_index=()
index="$(torch_index)"
if [ -n "$index" ]; then
  extra_index=(--extra-index-url "$index")
fi
say "Installing the library and what it needs${index:+ (PyTorch from $index)}"
# The array is empty without an index; old bash calls that unbound.
"${pip[@]}" install ${extra_index[@]+"${extra_index[@]}"} --constraint constraints.txt --editable '.[plots,server]' ||
  fail "pip could not install the library: its message is above. Behind a proxy or mirror, set pip's own options (PIP_INDEX_URL, HTTPS_PROXY) and NVFP4_TORCH_INDEX."

say "Checking this machine"
"$VENV/bin/python" verify_setup.py

cat <<TEXT

Installed. Next:
  $VENV/bin/nvfp4-ddim generate "a slice of watermelon"
  $VENV/bin/nvfp4-ddim --help
TEXT
