"""From a request to a plan: every default filled in, every limit of this server checked."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from nvfp4_ddim_contracts import FieldError, GenerationRequest, Preset
from nvfp4_ddim_contracts.generation import MAX_SEED
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

from .errors import InvalidFieldsError, PrecisionUnavailableError
from .ports import Pipeline, StoredArtifact
from .settings import ServerSettings

__all__ = ["BatchKey", "Plan", "make_plan"]

_EXACT = Shortcuts()


@dataclass(frozen=True)
class BatchKey:
    """What pictures must have in common to be sampled together. Sizes in pixels.

    `artifact` is the model's; None is the one that the server started with.
    """

    preset: Preset
    num_inference_steps: int
    guidance_scale: float
    eta: float
    width: int
    height: int
    negative_prompt: str
    shortcuts: Shortcuts = _EXACT
    artifact: StoredArtifact | None = None


@dataclass(frozen=True)
class Plan:
    """A request with nothing left open; picture k is made from `seeds[k]`."""

    prompt: str
    seeds: tuple[int, ...]
    key: BatchKey

    @property
    def total_steps(self) -> int:
        """Sampler steps of all pictures."""
        return self.key.num_inference_steps * len(self.seeds)


def make_plan(
    request: GenerationRequest,
    pipelines: Mapping[Preset, Pipeline],
    settings: ServerSettings,
    artifact: StoredArtifact | None = None,
) -> Plan:
    """Fill in what the request leaves open.

    Args:
        request: The caller's wishes, already within the contract's bounds.
        pipelines: The model under every preset.
        settings: This server's limits.
        artifact: The model's artifact; None for the one that the server started with.

    Raises:
        PrecisionUnavailableError: The request insists on arithmetic that is not here.
        InvalidFieldsError: The request is over a limit of this server.
    """
    pipeline = pipelines[request.preset]
    if request.strict_precision is not None and not pipeline.has_native_fp4:
        raise PrecisionUnavailableError(
            f"The request insists on {request.strict_precision}, and this machine computes by "
            f"{pipeline.execution_path}. Leave strict_precision out, or use a stage whose machines "
            "have FP4 units."
        )
    steps = request.num_inference_steps or request.preset.steps
    guidance = request.guidance_scale
    key = BatchKey(
        preset=request.preset,
        num_inference_steps=steps,
        guidance_scale=pipeline.default_guidance_scale if guidance is None else guidance,
        eta=request.eta,
        width=request.width or pipeline.native_width,
        height=request.height or pipeline.native_height,
        negative_prompt=request.negative_prompt,
        shortcuts=pipeline.resolve_shortcuts(
            steps,
            cache_interval=request.cache_interval,
            guidance_interval=request.guidance_interval,
            token_merging_ratio=request.token_merging_ratio,
        ),
        artifact=artifact,
    )
    _check_limits(key, settings)
    first = secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed
    seeds = tuple((first + k) % (MAX_SEED + 1) for k in range(request.num_images))
    return Plan(prompt=request.prompt, seeds=seeds, key=key)


def _check_limits(key: BatchKey, settings: ServerSettings) -> None:
    errors = []
    if key.num_inference_steps > settings.max_steps:
        message = f"{key.num_inference_steps} steps; this server allows {settings.max_steps}."
        errors.append(FieldError(field="num_inference_steps", message=message))
    if key.width * key.height > settings.max_pixels:
        message = (
            f"{key.width}x{key.height} is {key.width * key.height} pixels; "
            f"this server allows {settings.max_pixels}."
        )
        errors.extend(FieldError(field=side, message=message) for side in ("width", "height"))
    if errors:
        raise InvalidFieldsError(errors)
