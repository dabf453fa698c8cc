"""The library's front door: load a model under a preset, generate pictures.

This file only composes: `loading` finds and loads, `memory` decides how to run, `tasks` does
the work.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import overload

import torch
from PIL import Image

from nvfp4_ddim_optimizer.denoiser import is_divisible
from nvfp4_ddim_optimizer.diffusion import StepEvent, needs_unconditional
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.footprint import Picture
from nvfp4_ddim_optimizer.loading import LoadedModel, load_model
from nvfp4_ddim_optimizer.loading_tasks import LoadedTasks, is_task_model, load_tasks
from nvfp4_ddim_optimizer.machine import probe_machine
from nvfp4_ddim_optimizer.memory import ExecutionPlan, plan_execution, plan_picture
from nvfp4_ddim_optimizer.nn.scaled_matmul import has_fp4_matmul
from nvfp4_ddim_optimizer.presets import get_preset
from nvfp4_ddim_optimizer.shortcuts import Shortcuts
from nvfp4_ddim_optimizer.sources import locate_model
from nvfp4_ddim_optimizer.tasks import (
    PreviewDecoder,
    default_preview,
    generate_images,
    match_prompts,
)
from nvfp4_ddim_optimizer.uses import Uses

__all__ = ["OptimizationPipeline"]


class OptimizationPipeline(Uses):
    """A diffusion model in NVFP4, sampled with DDIM.

    Example:
        >>> pipeline = OptimizationPipeline.from_preset("emoji-64", preset="quality")
        >>> pipeline.generate("a slice of watermelon", seed=7).save("watermelon.png")
    """

    def __init__(
        self,
        loaded: LoadedModel | LoadedTasks,
        preset: str = "balanced",
        *,
        memory_limit: int | None = None,
    ) -> None:
        """Use a model that is loaded already; `from_preset` loads one.

        Args:
            loaded: The model.
            preset: "fast", "balanced" or "quality".
            memory_limit: Bytes that this process may take; what is free if None.

        Raises:
            InvalidInputError: There is no such preset.
        """
        self._loaded = loaded
        self._preset = get_preset(preset)
        self._memory_limit = memory_limit
        paints = isinstance(loaded, LoadedModel)
        super().__init__(loaded.name, loaded.tasks, self._preset.name, paints=paints)

    @property
    def _painter(self) -> LoadedModel:
        if isinstance(self._loaded, LoadedTasks):
            raise ModelNotSupportedError(
                f"{self.model_name} does not paint from text: it can {' and '.join(self.tasks)}"
            )
        return self._loaded

    @classmethod
    def from_preset(
        cls,
        model: str | Path,
        preset: str = "balanced",
        device: str = "cpu",
        *,
        low_memory: bool | None = None,
        vae_tiling: bool | None = None,
        offload: bool = False,
        memory_limit: int | None = None,
        compile: bool = False,  # noqa: A002 - torch's name for it
        verify: bool = True,
        cache_directory: Path | None = None,
    ) -> "OptimizationPipeline":
        """Load a model.

        Args:
            model: An artifact directory, a bundled model's name, or a diffusers directory or hub
                id, which is quantised on the fly.
            preset: "fast" (10 steps), "balanced" (20) or "quality" (50).
            device: "cpu", "cuda" or "cuda:<index>".
            low_memory: Keep weights packed, decode in tiles, and predict with and without the
                prompt one after the other. None: only as far as memory makes it necessary.
            vae_tiling: Decode large pictures stripe by stripe, with the same result; None: on a
                CPU, where it costs nothing, or as `low_memory`.
            offload: Keep each component on the GPU only while it works.
            memory_limit: Bytes that this process may take; what is free if None. `generate`
                keeps to it, too.
            compile: Compile the UNet with torch.compile: the first picture of every size takes
                minutes, later ones are faster.
            verify: Check an artifact's checksums before using it.
            cache_directory: Decompress an artifact's weights to the disk, once for all processes,
                and map them from there: they then take memory only as they are used, and none
                that the system can't take back. `artifacts.default_cache_directory()` is a
                place for it. None decompresses to memory.

        Raises:
            InvalidInputError: An argument is unknown.
            ArtifactError: The artifact is missing, altered, or of another version.
            ModelNotSupportedError: The model is of a kind that can't be run.
            HardwareError: The device is not there.
        """
        source = locate_model(model)
        if is_task_model(source):
            return cls(load_tasks(source, device, verify=verify), preset, memory_limit=memory_limit)
        planner = partial(
            plan_execution,
            probe_machine(gpus=device != "cpu").limited_to(memory_limit),
            device=device,
            low_memory=low_memory,
            vae_tiling=vae_tiling,
            offload=offload,
        )
        search = get_preset(preset).scale_search
        loaded = load_model(
            source,
            search,
            planner,
            compile_unet=compile,
            verify=verify,
            cache_directory=cache_directory,
        )
        return cls(loaded, preset, memory_limit=memory_limit)

    def with_preset(self, preset: str) -> "OptimizationPipeline":
        """The same loaded weights under another preset; nothing is copied.

        Raises:
            InvalidInputError: There is no such preset.
        """
        return OptimizationPipeline(self._loaded, preset, memory_limit=self._memory_limit)

    @property
    def model_name(self) -> str:
        """Name of the model."""
        return self._loaded.name

    @property
    def artifact_sha256(self) -> str:
        """SHA-256 of the artifact's manifest; of the parameters if quantised on the fly."""
        return self._loaded.artifact_sha256

    @property
    def plan(self) -> ExecutionPlan:
        """How the model runs, as far as it was decided when it was loaded."""
        return self._loaded.plan

    @property
    def execution_path(self) -> str:
        """Which arithmetic runs, such as "cpu/fp32/nvfp4-resident"."""
        return self._loaded.plan.execution_path

    @property
    def has_native_fp4(self) -> bool:
        """Whether large matrix products run on FP4 units; other layers are dequantised anyway."""
        return has_fp4_matmul(torch.device(self._loaded.plan.device))

    @property
    def weight_bytes(self) -> int:
        """Most memory that the weights take at once, as predicted by the plan."""
        return self._loaded.weight_bytes

    @property
    def native_width(self) -> int:
        """Width in pixels that the model was trained at."""
        return self._loaded.native_width

    @property
    def native_height(self) -> int:
        """Height in pixels that the model was trained at."""
        return self._loaded.native_height

    @property
    def default_guidance_scale(self) -> float:
        """Guidance scale where the caller gives none."""
        return self._painter.default_guidance_scale

    @property
    def preset(self) -> str:
        """Name of the preset."""
        return str(self._preset.name)

    @overload
    def generate(  # type: ignore[overload-overlap]  # a str is a Sequence[str], sadly
        self,
        prompt: str,
        *,
        negative_prompt: str = "",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        eta: float = 0.0,
        cache_interval: int | None = None,
        guidance_interval: tuple[float, float] | None = None,
        token_merging_ratio: float | None = None,
        height: int | None = None,
        width: int | None = None,
        seed: int | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> Image.Image: ...

    @overload
    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str = "",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        eta: float = 0.0,
        cache_interval: int | None = None,
        guidance_interval: tuple[float, float] | None = None,
        token_merging_ratio: float | None = None,
        height: int | None = None,
        width: int | None = None,
        seed: int | Sequence[int] | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> list[Image.Image]: ...

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str = "",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        eta: float = 0.0,
        cache_interval: int | None = None,
        guidance_interval: tuple[float, float] | None = None,
        token_merging_ratio: float | None = None,
        height: int | None = None,
        width: int | None = None,
        seed: int | Sequence[int] | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> Image.Image | list[Image.Image]:
        """Paint.

        The same model, arguments and seed give the same bytes on the same machine.

        Args:
            prompt: What to paint; several prompts are sampled together.
            negative_prompt: What to lead away from.
            num_inference_steps: DDIM steps, 1 to 1000; the preset's number if None.
            guidance_scale: Classifier-free guidance, the model's own if None; 0 and 1 switch it
                off and save half the work.
            guidance_rescale: 0 to 1; tames over-saturation of models with zero terminal SNR.
            eta: 0 is deterministic DDIM, 1 has DDPM's noise.
            cache_interval: N: run the UNet's deep part in every N-th step only (DeepCache); 1
                is exact, the preset's choice if None.
            guidance_interval: (start, stop), the part of the steps that guidance acts on, such
                as (0, 0.8), which saves the unconditional pass in the last fifth; (0, 1) is
                exact, the preset's choice if None.
            token_merging_ratio: Share of the tokens, 0 to 0.75, that self-attention at full
                resolution merges into similar ones; 0 is exact, the preset's choice if None.
            height: Pixels, the model's native height if None.
            width: Pixels, the model's native width if None.
            seed: Picture k uses seed + k modulo 2^32; or one seed for each picture, in which
                case one prompt is painted once for each. Random if None. The seed used is in
                the picture's `info["seed"]`.
            on_step: Called after each step with how many are done; `preview` makes a picture of
                what it is given.
            should_cancel: Asked before each step.

        Returns:
            One RGB picture for a single prompt without a list of seeds, otherwise a list. `info`
            has the seed, and the shortcuts that were taken.

        Raises:
            InvalidInputError: An argument is out of range.
            InsufficientMemoryError: The CPU's memory is too small for these pictures; nothing
                was computed yet.
            ModelNotSupportedError: The UNet's layers don't allow caching.
            GenerationCancelled: `should_cancel` said so.
        """
        prompts, seeds = match_prompts(prompt, seed)
        loaded = self._painter
        guidance_scale = loaded.default_guidance_scale if guidance_scale is None else guidance_scale
        height = loaded.native_height if height is None else height
        width = loaded.native_width if width is None else width
        preset = self._preset
        steps = preset.num_inference_steps if num_inference_steps is None else num_inference_steps
        timesteps = loaded.model.diffusion.uniform_timesteps(steps)
        shortcuts = self.resolve_shortcuts(
            steps,
            cache_interval=cache_interval,
            guidance_interval=guidance_interval,
            token_merging_ratio=token_merging_ratio,
        )
        loaded.model.latent_shape(height, width)  # a wrong size is a wrong size, not a large one
        passes = 2 if needs_unconditional(guidance_scale) else 1
        plan = plan_picture(
            loaded.plan,
            probe_machine(gpus=loaded.plan.device != "cpu").limited_to(self._memory_limit),
            loaded.footprint,
            Picture(height, width, len(prompts), passes),
        )
        images = generate_images(
            loaded.model,
            loaded.conditioner,
            prompts,
            seeds,
            timesteps,
            negative_prompt=negative_prompt,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            eta=eta,
            shortcuts=shortcuts,
            batched_guidance=plan.batched_guidance,
            height=height,
            width=width,
            on_step=on_step,
            should_cancel=should_cancel,
        )
        for image, used in zip(images, seeds, strict=True):
            image.info["seed"] = used
            image.info.update(asdict(shortcuts))
        single = isinstance(prompt, str) and not isinstance(seed, Sequence)
        return images[0] if single else images

    def resolve_shortcuts(
        self,
        num_inference_steps: int,
        *,
        cache_interval: int | None = None,
        guidance_interval: tuple[float, float] | None = None,
        token_merging_ratio: float | None = None,
    ) -> Shortcuts:
        """What `generate` leaves out when it is given these arguments.

        Args:
            num_inference_steps: Steps of the run.
            cache_interval: As in `generate`. None: the preset's choice, or 1 where the model's
                UNet can't be cut.
            guidance_interval: As in `generate`.
            token_merging_ratio: As in `generate`.

        Raises:
            InvalidInputError: A value lies out of range.
        """
        if cache_interval is None and not is_divisible(self._painter.model.unet):
            cache_interval = 1
        return self._preset.resolve_shortcuts(
            num_inference_steps,
            cache_interval=cache_interval,
            guidance_interval=guidance_interval,
            token_merging_ratio=token_merging_ratio,
        )

    def preview(self, event: StepEvent, decoder: PreviewDecoder | None = None) -> list[Image.Image]:
        """Show what a running generation is about to become; nothing is computed before.

        Example:
            >>> pipeline.generate("a cat", on_step=lambda event: show(pipeline.preview(event)[0]))

        Args:
            event: What `on_step` was called with.
            decoder: How to make a picture: `LinearPreview`, or `TinyPreview.load(...)` of a
                directory or hub id. None: the model's own autoencoder if it is tiny, otherwise
                the linear one, which gives one pixel for each latent pixel.

        Returns:
            One RGB picture for each that is sampled.

        Raises:
            InvalidInputError: The event carries no latents, or the decoder is for others.
            ModelNotSupportedError: The model needs a decoder to be given.
        """
        if event.x0 is None:
            raise InvalidInputError("the event carries no latents to make a preview of")
        return (decoder or default_preview(self._painter.model))(event.x0)
