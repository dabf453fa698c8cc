"""Decisions about arithmetic and memory: pure functions of a `Machine` and a model's `Footprint`.

On a CPU there are three ways to run, fastest first; the first that fits is taken:

    1. dequantised weights kept, both passes of guidance in one batch
    2. weights packed and mapped, pages of components that are done given back
    3. the same, with the passes of guidance one after the other
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_optimizer.errors import (
    HardwareError,
    InsufficientMemoryError,
    InvalidInputError,
)
from nvfp4_ddim_optimizer.footprint import (
    RUNTIME_BYTES,
    Footprint,
    Picture,
    Weights,
    peak_bytes,
)
from nvfp4_ddim_optimizer.machine import Gpu, Machine

__all__ = [
    "ComputeDtype",
    "ExecutionPlan",
    "Prediction",
    "largest_square",
    "plan_candidates",
    "plan_execution",
    "plan_picture",
    "predict",
    "recommend_preset",
]

_COMFORTABLE = 0.6  # share of free memory: the rest is for the page cache and other programs
_SQUARE_STEP, _MAX_SQUARE = 64, 8192  # pixels


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
        resident: Dequantise every weight once and keep it, rather than in every call. Otherwise a
            CPU maps weights as they are stored, and gives back the pages of a component when it
            has done its work.
        vae_tiling: Decode large pictures piece by piece.
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

    def weights(self, *, mapped: bool) -> Weights:
        """How weights are held.

        Args:
            mapped: Whether the model's weights can be mapped from files.
        """
        if self.resident:
            return Weights.KEPT
        return Weights.MAPPED if mapped and self.device == "cpu" else Weights.PACKED

    @property
    def execution_path(self) -> str:
        """The plan in one word for provenance, such as "cpu/fp32/nvfp4-resident"."""
        kind = self.device.partition(":")[0]
        residency = "resident" if self.resident else "packed"
        suffix = "/offload" if self.offload else ""
        return f"{kind}/{self.compute_dtype}/nvfp4-{residency}{suffix}"


@dataclass(frozen=True)
class Prediction:
    """What a plan takes for a picture.

    Attributes:
        plan: How it would run.
        peak_bytes: Most memory of the whole process at once; on a GPU, of its memory.
        fits: Whether the machine has that much to give.
    """

    plan: ExecutionPlan
    peak_bytes: int
    fits: bool


def plan_execution(
    machine: Machine,
    footprint: Footprint,
    picture: Picture,
    *,
    device: str = "cpu",
    low_memory: bool | None = None,
    vae_tiling: bool | None = None,
    offload: bool = False,
) -> ExecutionPlan:
    """Decide how to run a model on a machine: the fastest way that fits, else the smallest.

    Attention is never sliced: scaled-dot-product attention does not materialise the matrix that
    slicing would shrink. Pictures are always decoded one at a time, since that costs no speed and
    keeps a picture's bytes independent of its batch.

    Args:
        machine: Where it will run.
        footprint: What the model takes.
        picture: What it is most likely to paint.
        device: "cpu", "cuda" or "cuda:<index>".
        low_memory: Keep weights packed, decode in tiles, and predict with and without the prompt
            one after the other. None: only as far as the machine's memory makes it necessary.
        vae_tiling: Decode in tiles; None: on a CPU, where it costs nothing, or as `low_memory`.
        offload: Move components to the GPU and back as they are needed.

    Raises:
        InvalidInputError: The device's name is unknown, or the CPU is to be offloaded.
        HardwareError: The machine has no such device.
    """
    candidates = plan_candidates(
        machine, device=device, low_memory=low_memory, vae_tiling=vae_tiling, offload=offload
    )
    for plan in candidates:
        prediction = predict(plan, machine, footprint, picture)
        free = _free_bytes(machine, plan.device)
        if prediction.fits and (not plan.resident or prediction.peak_bytes <= free * _COMFORTABLE):
            return plan
    return candidates[-1]


def plan_candidates(
    machine: Machine,
    *,
    device: str = "cpu",
    low_memory: bool | None = None,
    vae_tiling: bool | None = None,
    offload: bool = False,
) -> list[ExecutionPlan]:
    """The ways to run that a caller leaves open, fastest first. Arguments as `plan_execution`.

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

    def plan(*, saving: bool, batched: bool) -> ExecutionPlan:
        return ExecutionPlan(
            device=device,
            compute_dtype=dtype,
            resident=not saving and not offload,
            vae_tiling=saving or gpu is None if vae_tiling is None else vae_tiling,
            offload=offload,
            batched_guidance=batched,
        )

    fast = plan(saving=False, batched=True)
    small = plan(saving=True, batched=False)
    if low_memory is None:
        return [fast, plan(saving=True, batched=True), small]
    return [small] if low_memory else [fast]


def plan_picture(
    loaded: ExecutionPlan, machine: Machine, footprint: Footprint, picture: Picture
) -> ExecutionPlan:
    """Adapt the plan that a model was loaded under to one request, before any work is done.

    Args:
        loaded: The plan; what can't be changed any more stays.
        machine: As it is now.
        footprint: What the model takes.
        picture: What is asked for; `passes` is 1 without guidance.

    Raises:
        InsufficientMemoryError: The CPU's memory is too small.
    """
    candidates = [loaded]
    if picture.passes > 1 and loaded.batched_guidance:
        candidates.append(replace(loaded, batched_guidance=False))
    predictions = [predict(plan, machine, footprint, picture) for plan in candidates]
    for prediction in predictions:
        if prediction.fits:
            return prediction.plan
    if loaded.device != "cpu":  # the driver knows better what a GPU can swap and free
        return candidates[-1]
    raise _insufficient(predictions[-1], machine, footprint, picture)


def predict(
    plan: ExecutionPlan, machine: Machine, footprint: Footprint, picture: Picture
) -> Prediction:
    """What a plan takes for a picture.

    Args:
        plan: How it would run.
        machine: Where.
        footprint: What the model takes.
        picture: What is painted; `passes` is what guidance needs, however the plan runs them.
    """
    passes = picture.passes if plan.batched_guidance else 1
    peak = peak_bytes(
        footprint,
        replace(picture, passes=passes),
        plan.weights(mapped=footprint.is_mapped),
        tiled=plan.vae_tiling,
        number_bytes=plan.compute_dtype.bytes,
    )
    if plan.device == "cpu":
        peak += RUNTIME_BYTES
    return Prediction(plan, peak, peak <= _free_bytes(machine, plan.device))


def largest_square(plan: ExecutionPlan, machine: Machine, footprint: Footprint) -> int:
    """Side in pixels, a multiple of 64, of the largest square picture that fits; 0: none does."""
    side = 0
    while side < _MAX_SQUARE:
        larger = Picture(side + _SQUARE_STEP, side + _SQUARE_STEP)
        if not predict(plan, machine, footprint, larger).fits:
            break
        side += _SQUARE_STEP
    return side


def _free_bytes(machine: Machine, device: str) -> int:
    """What the process may take, with what it has already."""
    gpu = _find_gpu(machine, device)
    return machine.available_bytes + machine.process_bytes if gpu is None else gpu.free_bytes


def _insufficient(
    least: Prediction, machine: Machine, footprint: Footprint, picture: Picture
) -> InsufficientMemoryError:
    advice = []
    plan = least.plan
    if plan.resident:
        advice.append("load the model with low_memory=True")
    if not plan.vae_tiling:
        advice.append("leave vae_tiling on")
    if picture.batch > 1:
        advice.append("paint fewer pictures at once")
    side = largest_square(plan, machine, footprint)
    if 0 < side * side < picture.pixels:
        advice.append(f"paint at most {side}x{side} pixels")
    if not footprint.is_mapped:
        advice.append("quantise the model first, into an artifact that can be mapped")
    advice.append("or close other programs")
    available = _free_bytes(machine, plan.device)
    return InsufficientMemoryError(
        f"{picture.batch} x {picture.width}x{picture.height} pixels need about "
        f"{least.peak_bytes / 1e9:.2f} GB of memory, and {available / 1e9:.2f} GB are there: "
        + ", ".join(advice),
        needed_bytes=least.peak_bytes,
        available_bytes=available,
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
