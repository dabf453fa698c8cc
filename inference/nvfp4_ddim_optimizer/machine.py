"""What this machine has: processors, instruction sets, memory that is really free, GPUs.

Importing this module does not import torch; only looking for GPUs does.
"""

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import psutil

__all__ = [
    "Gpu",
    "InstructionSet",
    "Machine",
    "is_fp4_capability",
    "parse_cpu_flags",
    "probe_machine",
]

_CGROUP = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


class InstructionSet(StrEnum):
    """Instruction sets that decide which arithmetic is fast."""

    AVX2 = "AVX2"
    AVX512 = "AVX-512"
    AVX512_BF16 = "AVX-512 BF16"
    AMX_BF16 = "AMX BF16"
    NEON = "NEON"
    NEON_BF16 = "NEON BF16"
    SVE = "SVE"


# The kernel's names in /proc/cpuinfo, and macOS's in `sysctl hw.optional`.
_FLAGS = {
    "avx2": InstructionSet.AVX2,
    "avx512f": InstructionSet.AVX512,
    "avx512_bf16": InstructionSet.AVX512_BF16,
    "amx_bf16": InstructionSet.AMX_BF16,
    "asimd": InstructionSet.NEON,
    "neon": InstructionSet.NEON,
    "bf16": InstructionSet.NEON_BF16,
    "sve": InstructionSet.SVE,
    "hw.optional.avx2_0": InstructionSet.AVX2,
    "hw.optional.avx512f": InstructionSet.AVX512,
    "hw.optional.neon": InstructionSet.NEON,
    "hw.optional.advsimd": InstructionSet.NEON,
    "hw.optional.arm.feat_bf16": InstructionSet.NEON_BF16,
}


@dataclass(frozen=True)
class Gpu:
    """One CUDA device.

    Attributes:
        name: As the driver calls it.
        capability: Compute capability, such as (9, 0).
        total_bytes: Its memory.
        free_bytes: What of it is free.
    """

    name: str
    capability: tuple[int, int]
    total_bytes: int
    free_bytes: int

    @property
    def has_native_fp4(self) -> bool:
        """Whether its tensor cores multiply NVFP4."""
        return is_fp4_capability(self.capability)

    @property
    def has_fast_bf16(self) -> bool:
        """Whether its tensor cores multiply bfloat16 (Ampere and later)."""
        return self.capability >= (8, 0)


def is_fp4_capability(capability: tuple[int, int]) -> bool:
    """Whether tensor cores of a compute capability multiply NVFP4 (Blackwell: 10.x and 12.x)."""
    return capability[0] in (10, 12)


@dataclass(frozen=True)
class Machine:
    """A machine, as far as decisions about arithmetic and memory need to know it.

    Attributes:
        system: "Linux", "Darwin" or "Windows".
        architecture: "x86_64", "aarch64", "arm64", "AMD64".
        cpu_count: Processors this process may use, container limits included.
        instruction_sets: What the processor has, of those that matter.
        total_bytes: Memory, container limits included.
        available_bytes: Memory that can be taken without swapping.
        process_bytes: What this process has taken of it already; pages of mapped files, which
            the system can take back, left out.
        gpus: CUDA devices that this build of torch can use.
    """

    system: str
    architecture: str
    cpu_count: int
    instruction_sets: frozenset[InstructionSet]
    total_bytes: int
    available_bytes: int
    process_bytes: int = 0
    gpus: tuple[Gpu, ...] = ()

    def limited_to(self, process_bytes: int | None) -> "Machine":
        """The same machine with no more memory than this process may take; None: no limit."""
        if process_bytes is None:
            return self
        rest = max(0, process_bytes - self.process_bytes)
        return replace(
            self,
            available_bytes=min(self.available_bytes, rest),
            process_bytes=min(self.process_bytes, process_bytes),
        )

    @property
    def has_fast_bf16(self) -> bool:
        """Whether the processor multiplies bfloat16 faster than float32.

        Without these instructions bfloat16 is emulated, tens of times slower.
        """
        fast = {InstructionSet.AMX_BF16, InstructionSet.AVX512_BF16}
        return bool(fast & self.instruction_sets)


def probe_machine(*, gpus: bool = True) -> Machine:
    """Look at the machine this process runs on.

    Args:
        gpus: Whether to look for GPUs, which imports torch.
    """
    memory = psutil.virtual_memory()
    limit, used = _cgroup_memory()
    total = memory.total if limit is None else min(memory.total, limit)
    available = memory.available if limit is None else min(memory.available, limit - used)
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        cpu_count=_usable_cpus(),
        instruction_sets=_instruction_sets(),
        total_bytes=total,
        available_bytes=max(0, available),
        process_bytes=_process_bytes(),
        gpus=_cuda_devices() if gpus else (),
    )


def parse_cpu_flags(flags: Iterable[str]) -> frozenset[InstructionSet]:
    """The instruction sets that a list of the operating system's flags stands for."""
    return frozenset(_FLAGS[flag] for flag in map(str.lower, flags) if flag in _FLAGS)


def _instruction_sets() -> frozenset[InstructionSet]:
    if _CPUINFO.exists():
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
        fields = (line.partition(":") for line in lines)
        flags = [value for key, _, value in fields if key.strip() in ("flags", "Features")]
        return parse_cpu_flags(flags[0].split()) if flags else frozenset()
    if platform.system() == "Darwin":
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "hw.optional"], capture_output=True, text=True, check=False
        )
        pairs = (line.partition(":") for line in answer.stdout.splitlines())
        return parse_cpu_flags(key for key, _, value in pairs if value.strip() == "1")
    return _instruction_sets_from_torch()


def _instruction_sets_from_torch() -> frozenset[InstructionSet]:
    """Windows has no list of flags to read; torch knows which of its kernels it picked."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return frozenset(
        {
            "AVX2": {InstructionSet.AVX2},
            "AVX512": {InstructionSet.AVX2, InstructionSet.AVX512},
        }.get(capability, set())
    )


def _usable_cpus() -> int:
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    quota = _read(_CGROUP / "cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        count = min(count, max(1, int(quota[0]) // int(quota[1])))
    return count


def _process_bytes() -> int:
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _cgroup_memory() -> tuple[int | None, int]:
    """The tightest memory limit above this process (None: no limit), and what is used of it.

    A container sees its own group as the root; a systemd scope or service is a path below it.
    """
    tightest: tuple[int, int] | None = None
    for group in _own_cgroups():
        limit = _read(group / "memory.max")
        if not limit.isdigit():
            continue
        used = _read(group / "memory.current")
        found = int(limit), max(0, int(used) - _reclaimable(group)) if used.isdigit() else 0
        if tightest is None or found[0] - found[1] < tightest[0] - tightest[1]:
            tightest = found
    return (None, 0) if tightest is None else tightest


def _own_cgroups() -> list[Path]:
    """This process's group of the unified hierarchy, and all above it."""
    lines = [line for line in _read(_OWN_CGROUP).splitlines() if line.startswith("0::")]
    own = _CGROUP / lines[0][3:].strip().lstrip("/") if lines else _CGROUP
    return [group for group in (own, *own.parents) if group.is_relative_to(_CGROUP)]


def _reclaimable(group: Path) -> int:
    """Bytes of files that are cached and counted, but given up as soon as memory is asked for."""
    for line in _read(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == "inactive_file" and value.isdigit():
            return int(value)
    return 0


def _cuda_devices() -> tuple[Gpu, ...]:
    import torch

    if not torch.cuda.is_available():
        return ()
    devices = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        devices.append(Gpu(name, torch.cuda.get_device_capability(index), total, free))
    return tuple(devices)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
