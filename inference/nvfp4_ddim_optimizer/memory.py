"""Decisions about arithmetic and memory: pure functions of a `Machine` and a model's size."""

import ctypes
import os
import platform
from dataclasses import dataclass
from enum import StrEnum

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_optimizer.errors import HardwareError, InvalidInputError
from nvfp4_ddim_optimizer.machine import Gpu, Machine, probe_machine

__all__ = [
    "ComputeDtype",
    "ExecutionPlan",
    "plan_execution",
    "recommend_preset",
    "tune_allocator",
    "tune_process",
]

_GIB = 1024**3
_ACTIVATION_BYTES = _GIB  # a Stable Diffusion step at 512 x 512 with guidance adds 0.7-0.8 GB
_COMFORTABLE_SHARE = 0.6  # of free memory: the rest is for the page cache and other programs
_BYTES_PER_PARAMETER_FP32 = 4
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc, malloc.h


class ComputeDtype(StrEnum):
    """The type that layers compute in; weights are stored in NVFP4 either way."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"

    @property
    def bytes(self) -> int:
        """Size of one number."""
        return 4 if self is ComputeDtype.FP32 else 2


@dataclass(frozen=True)
class ExecutionPlan:
    """How a model is going to run.

    Attributes:
        device: "cpu", "cuda" or "cuda:<index>".
        compute_dtype: What the layers compute in.
        resident: Dequantise every weight once and keep it, rather than in every call.
        vae_tiling: Decode large pictures tile by tile.
        offload: Keep each component in the GPU only while it works.
        batched_guidance: Predict with and without the prompt in one batch, rather than one after
            the other in half the activations.
    """

    device: str
    compute_dtype: ComputeDtype
    resident: bool
    vae_tiling: bool
    offload: bool
    batched_guidance: bool = True

    @property
    def execution_path(self) -> str:
        """The plan in one word for provenance, such as "cpu/fp32/nvfp4-resident"."""
        kind = self.device.partition(":")[0]
        residency = "resident" if self.resident else "packed"
        suffix = "/offload" if self.offload else ""
        return f"{kind}/{self.compute_dtype}/nvfp4-{residency}{suffix}"


def plan_execution(
    machine: Machine,
    original_bytes: int,
    *,
    device: str = "cpu",
    low_memory: bool | None = None,
    vae_tiling: bool | None = None,
    offload: bool = False,
) -> ExecutionPlan:
    """Decide how to run a model of a given size on a machine.

    Attention is never sliced: scaled-dot-product attention does not materialise the matrix that
    slicing would shrink. Decoding is always sliced, one picture at a time, since that costs no
    speed and keeps a picture's bytes independent of its batch.

    Args:
        machine: Where it will run.
        original_bytes: The model's parameters in float32.
        device: "cpu", "cuda" or "cuda:<index>".
        low_memory: Keep weights packed, decode in tiles, and predict with and without the prompt
            one after the other. None: only where the machine has no room for the dequantised
            weights.
        vae_tiling: Decode in tiles; None: as `low_memory`.
        offload: Move components to the GPU and back as they are needed.

    Raises:
        InvalidInputError: The device's name is unknown, or the CPU is to be offloaded.
        HardwareError: The machine has no such device.
    """
    gpu = _find_gpu(machine, device)
    if offload and gpu is None:
        raise InvalidInputError(
            "offload moves components between a GPU and main memory; with device='cpu' use "
            "low_memory=True instead"
        )
    if gpu is None:
        dtype = ComputeDtype.BF16 if machine.has_fast_bf16 else ComputeDtype.FP32
    else:
        dtype = ComputeDtype.BF16 if gpu.has_fast_bf16 else ComputeDtype.FP16
    dequantised_bytes = original_bytes * dtype.bytes // _BYTES_PER_PARAMETER_FP32
    free = machine.available_bytes if gpu is None else gpu.free_bytes
    fits = dequantised_bytes + _ACTIVATION_BYTES <= _COMFORTABLE_SHARE * free
    saving = not fits if low_memory is None else low_memory
    return ExecutionPlan(
        device=device,
        compute_dtype=dtype,
        resident=not saving and not offload,
        vae_tiling=saving if vae_tiling is None else vae_tiling,
        offload=offload,
        batched_guidance=not saving,
    )


def recommend_preset(machine: Machine) -> tuple[Preset, str]:
    """The preset to start with on a machine, and why."""
    if machine.gpus:
        return Preset.QUALITY, f"{machine.gpus[0].name} makes 50 steps cheap"
    if machine.cpu_count >= 8 or machine.has_fast_bf16:
        return Preset.BALANCED, f"{machine.cpu_count} processors keep 20 steps bearable"
    return (
        Preset.FAST,
        f"{machine.cpu_count} processors without a GPU: 10 steps for models the size of Stable "
        "Diffusion; small models such as the bundled one run 'quality' in seconds",
    )


def tune_allocator() -> bool:
    """Let glibc keep freed memory instead of returning it to the kernel after every layer.

    Layers allocate and free the same large activations again and again; with the default
    settings each is mapped and its pages faulted in anew. For entry points, before the first
    tensor; the library never calls this itself.

    Returns:
        Whether the C library took the setting (glibc only).
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def tune_process() -> None:
    """Set up the process for torch: allocator and threads. For entry points, before torch is
    imported, which reads some of it; the library never calls this itself. Variables that the
    environment already sets stay.
    """
    tune_allocator()
    # A container may own fewer processors than it sees; more threads than those fight each other.
    os.environ.setdefault("OMP_NUM_THREADS", str(probe_machine(gpus=False).cpu_count))
    # Threads that spin while they wait for each other starve on a machine that has other work, too:
    # two of them on two busy processors can take many times as long as one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _find_gpu(machine: Machine, device: str) -> Gpu | None:
    """The GPU that a device string names, or None for the CPU."""
    kind, _, index = device.partition(":")
    if device == "cpu":
        return None
    if kind != "cuda" or (index and not index.isdigit()):
        raise InvalidInputError(f"device must be 'cpu', 'cuda' or 'cuda:<index>', not {device!r}")
    number = int(index or 0)
    if number >= len(machine.gpus):
        raise HardwareError(
            f"device {device!r} is not there: this build of torch sees {len(machine.gpus)} CUDA "
            "devices. Use device='cpu', or install a CUDA build of torch and a driver"
        )
    return machine.gpus[number]
