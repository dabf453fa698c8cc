"""Load a model from wherever it is, and set it up the way the machine can run it best."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nvfp4_ddim_contracts import DataFree, ScaleSearch
from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_optimizer.artifacts import (
    default_cache_directory,
    load_artifact,
    verify_artifact,
)
from nvfp4_ddim_optimizer.denoiser import install_attention
from nvfp4_ddim_optimizer.errors import ModelNotSupportedError
from nvfp4_ddim_optimizer.footprint import Footprint, Picture, weight_bytes
from nvfp4_ddim_optimizer.memory import ComputeDtype, ExecutionPlan
from nvfp4_ddim_optimizer.nn import (
    Residency,
    convolve_by_winograd,
    release_pages,
    set_residency,
)
from nvfp4_ddim_optimizer.nvfp4 import DataFreeQuantizer
from nvfp4_ddim_optimizer.planning import MeasuredModel, measure_model
from nvfp4_ddim_optimizer.sources import (
    ModelKind,
    ModelSource,
    parameter_digest,
)
from nvfp4_ddim_optimizer.streaming import open_model
from nvfp4_ddim_optimizer.tasks import TextConditioner, TextToImageModel
from nvfp4_ddim_optimizer.tasks.base import Task
from nvfp4_ddim_optimizer.tasks.interpolate import PictureInterpolationTask
from nvfp4_ddim_optimizer.tasks.stripes import can_decode_in_stripes

__all__ = ["LoadedModel", "load_model"]

_DEFAULT_GUIDANCE_SCALE = 7.5  # what Stable Diffusion's authors and diffusers use
_TORCH_DTYPES = {
    ComputeDtype.FP32: torch.float32,
    ComputeDtype.BF16: torch.bfloat16,
    ComputeDtype.FP16: torch.float16,
}


@dataclass(frozen=True)
class LoadedModel:
    """A text-to-image model that is ready to run. Its weights are shared, never copied.

    Attributes:
        name: Its name.
        artifact_sha256: SHA-256 of its manifest, or of its parameters where it has none.
        default_guidance_scale: Guidance where a caller gives none.
        native_height: Pixels.
        native_width: Pixels.
        footprint: What it takes.
        plan: How it runs.
        model: The components.
        conditioner: The text encoder with its cache.
    """

    name: str
    artifact_sha256: str
    default_guidance_scale: float
    native_height: int
    native_width: int
    footprint: Footprint
    plan: ExecutionPlan
    model: TextToImageModel
    conditioner: TextConditioner

    @property
    def tasks(self) -> Mapping[TaskName, Task[Any, Any]]:
        """What it can be asked to do beside painting from text."""
        return {TaskName.INTERPOLATE: PictureInterpolationTask(self.model, self.conditioner)}

    @property
    def weight_bytes(self) -> int:
        """Most memory that the weights take at once, as predicted by the plan."""
        weights = self.plan.weights(mapped=self.footprint.is_mapped)
        return weight_bytes(self.footprint, weights, number_bytes=self.plan.compute_dtype.bytes)


@dataclass(frozen=True)
class _Weights:
    """What the two ways of getting weights have in common, before they are set up to run."""

    pipeline: Any
    name: str
    artifact_sha256: str
    default_guidance_scale: float
    native_size: tuple[int, int] | None


def load_model(
    source: ModelSource,
    search: ScaleSearch,
    planner: Callable[[Footprint, Picture], ExecutionPlan],
    *,
    compile_unet: bool = False,
    verify: bool = True,
    cache_directory: Path | None = None,
) -> LoadedModel:
    """Load a text-to-image model and set it up to run.

    Args:
        source: Where it is.
        search: How block scales are chosen if the model has to be quantised.
        planner: Decides how to run a model from what it takes, and what it paints natively.
        compile_unet: Use torch.compile on the UNet.
        verify: Check an artifact's checksums.
        cache_directory: Where to decompress an artifact's weights to; see `load_artifact`.

    Raises:
        ArtifactError: The artifact is missing, altered, or of another version.
        ModelNotSupportedError: The model is of a kind that can't be run.
    """
    measured = _measure(source)
    footprint = measured.footprint
    plan = planner(footprint, measured.picture)
    if source.kind is ModelKind.ARTIFACT:
        weights = _load_artifact(
            Path(source.location), plan, verify=verify, cache_directory=cache_directory
        )
    else:
        weights = _quantise_on_the_fly(source, search, plan)
    return _set_up(weights, footprint, plan, compile_unet=compile_unet)


def _measure(source: ModelSource) -> MeasuredModel:
    try:
        return measure_model(source)
    except ModelNotSupportedError:
        if source.kind is ModelKind.ARTIFACT:
            verify_artifact(source.location)  # a configuration that was altered is the real trouble
        raise


def _load_artifact(
    directory: Path, plan: ExecutionPlan, *, verify: bool, cache_directory: Path | None
) -> _Weights:
    is_mapped = _is_mapped(plan)
    artifact = load_artifact(
        directory,
        verify=verify,
        compute_dtype=_TORCH_DTYPES[plan.compute_dtype],
        # Offloading starts from main memory.
        device="cpu" if plan.offload else plan.device,
        cache_directory=(cache_directory or default_cache_directory())
        if is_mapped
        else cache_directory,
        keep_stored=is_mapped,
    )
    manifest = artifact.manifest
    return _Weights(
        pipeline=artifact.pipeline,
        name=manifest.name,
        artifact_sha256=artifact.artifact_sha256,
        default_guidance_scale=manifest.default_guidance_scale,
        native_size=(manifest.native_height, manifest.native_width),
    )


def _quantise_on_the_fly(source: ModelSource, search: ScaleSearch, plan: ExecutionPlan) -> _Weights:
    model = open_model(source)
    pipeline = model.pipeline
    TextToImageModel.from_diffusers(pipeline)  # refuse it before the work, not after
    model.quantize(DataFreeQuantizer(DataFree(scale_search=search)))
    pipeline.to(_TORCH_DTYPES[plan.compute_dtype])
    if not plan.offload:
        pipeline.to(plan.device)
    return _Weights(
        pipeline=pipeline,
        name=source.name,
        artifact_sha256=parameter_digest(pipeline),
        default_guidance_scale=_DEFAULT_GUIDANCE_SCALE,
        native_size=None,
    )


def _is_mapped(plan: ExecutionPlan) -> bool:
    """Whether weights stay in their files: where every byte counts."""
    return plan.device == "cpu" and not plan.resident


def _set_up(
    weights: _Weights, footprint: Footprint, plan: ExecutionPlan, *, compile_unet: bool
) -> LoadedModel:
    pipeline = weights.pipeline
    device = torch.device(plan.device)
    model = TextToImageModel.from_diffusers(pipeline, _TORCH_DTYPES[plan.compute_dtype], device)
    model = replace(
        model,
        # Offloading is done by hooks on whole components, which stripes go past.
        decode_stripes=plan.vae_tiling and not plan.offload and can_decode_in_stripes(model.vae),
        release_pages=_is_mapped(plan),
    )
    residency = Residency.RESIDENT if plan.resident else Residency.PACKED
    for part in (model.text_encoder, model.unet, model.vae):
        part.eval().requires_grad_(requires_grad=False)
        set_residency(part, residency)
        if model.release_pages:
            release_pages(part)  # which were read to check them
    model.vae.enable_slicing()
    if plan.vae_tiling and plan.offload:
        model.vae.enable_tiling()
    if device.type == "cpu":
        install_attention(model.unet)
        convolve_by_winograd(model.vae)
    elif device.type == "cuda" and importlib.util.find_spec("xformers") is not None:
        model.unet.enable_xformers_memory_efficient_attention()
    if plan.offload:
        pipeline.enable_model_cpu_offload(device=device)
    if compile_unet:
        model.unet.compile()
    height, width = weights.native_size or model.native_size
    return LoadedModel(
        name=weights.name,
        artifact_sha256=weights.artifact_sha256,
        default_guidance_scale=weights.default_guidance_scale,
        native_height=height,
        native_width=width,
        footprint=footprint,
        plan=plan,
        model=model,
        conditioner=TextConditioner(model.tokenizer, model.text_encoder, device),
    )
