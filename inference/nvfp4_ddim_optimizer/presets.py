"""What the three presets set.

| preset   | steps | scales of a model quantised on the fly      | scales, codes of an artifact |
| -------- | ----- | ------------------------------------------- | ---------------------------- |
| fast     | 10    | four-over-six: two candidates a block       | the same                     |
| balanced | 20    | sweep: all E4M3 scales, about 0.6 dB better | rate-distortion, 3.9 bits    |
| quality  | 50    | sweep                                       | calibrated (GPTQ), 3.9 bits  |

In memory every weight takes 4.5 bits, however it was chosen: only an artifact, which is stored
and sent around, has something from trading error for entropy-coded size.

`fast` and `balanced` run the UNet's deep part in every third step only, which more than halves the
work and hardly shows. Guidance on part of the steps and token merging are not in any preset: they
save a tenth and change pictures more. `quality` leaves nothing out. Measured in docs/benchmarks,
topic "operations".

All of them visit timesteps in the spacing of the model's own scheduler config: the spacing is
part of how the model was trained (zero terminal SNR needs "trailing"), not a trade of time for
quality. Artifacts carry their scales with them, so only the steps differ there.
"""

from dataclasses import dataclass

from nvfp4_ddim_contracts import (
    Calibrated,
    DataFree,
    Preset,
    Quantization,
    RateDistortion,
    ScaleSearch,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

__all__ = ["PRESETS", "PresetConfig", "get_preset"]


@dataclass(frozen=True)
class PresetConfig:
    """One preset.

    Attributes:
        name: Its name.
        num_inference_steps: DDIM steps where the caller gives no number.
        scale_search: How block scales are chosen for a model that is quantised on the fly.
        quantization: How an artifact's weights are quantised.
        shortcuts: Operations left out at `num_inference_steps` steps.
    """

    name: Preset
    num_inference_steps: int
    scale_search: ScaleSearch
    quantization: Quantization
    shortcuts: Shortcuts

    def resolve_shortcuts(
        self,
        num_inference_steps: int,
        *,
        cache_interval: int | None = None,
        guidance_interval: tuple[float, float] | None = None,
        token_merging_ratio: float | None = None,
    ) -> Shortcuts:
        """What a run leaves out: what the caller chose, and the preset's choice where None.

        Args:
            num_inference_steps: Steps of the run. With fewer than the preset's, features are
                cached over fewer steps.
            cache_interval: As in `Shortcuts`.
            guidance_interval: As in `Shortcuts`.
            token_merging_ratio: As in `Shortcuts`.

        Raises:
            InvalidInputError: A value lies out of range.
        """
        own = self.shortcuts.for_steps(num_inference_steps, self.num_inference_steps)
        return own.override(
            cache_interval=cache_interval,
            guidance_interval=guidance_interval,
            token_merging_ratio=token_merging_ratio,
        )


# Chosen by benchmarks/operations.py.
_SHORTCUTS = {
    Preset.FAST: Shortcuts(cache_interval=3),
    Preset.BALANCED: Shortcuts(cache_interval=3),
    Preset.QUALITY: Shortcuts(),
}

# What any text-to-image model may be asked for; a model of one subject should be given prompts of
# its own.
_CALIBRATION_PROMPTS = (
    "a photo of a cat sitting on a wooden table by the window",
    "portrait of an old man, oil painting",
    "a mountain lake at sunrise, wide angle photograph",
    "a red vintage car parked in a narrow street",
    "a bowl of fruit, still life, soft light",
    "children playing football in the rain",
    "a futuristic city at night, neon lights, digital art",
    "the word hello written on a white wall",
)

_QUANTIZATION: dict[Preset, Quantization] = {
    Preset.FAST: DataFree(scale_search=ScaleSearch.FOUR_OVER_SIX),
    Preset.BALANCED: RateDistortion(rate_weight=0.007),
    Preset.QUALITY: Calibrated(rate_weight=0.005, prompts=_CALIBRATION_PROMPTS),
}

PRESETS = {
    preset: PresetConfig(
        name=preset,
        num_inference_steps=preset.steps,
        scale_search=(ScaleSearch.FOUR_OVER_SIX if preset is Preset.FAST else ScaleSearch.SWEEP),
        quantization=_QUANTIZATION[preset],
        shortcuts=_SHORTCUTS[preset],
    )
    for preset in Preset
}


def get_preset(name: str) -> PresetConfig:
    """Look a preset up.

    Raises:
        InvalidInputError: There is no preset of that name.
    """
    try:
        return PRESETS[Preset(name)]
    except ValueError:
        names = ", ".join(repr(str(preset)) for preset in Preset)
        raise InvalidInputError(f"unknown preset {name!r}: choose one of {names}") from None
