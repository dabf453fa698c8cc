"""All that was found out about one model, and the claims that follow from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.claims import Claim
from nvfp4_ddim_contracts import Preset

from .comparison import Comparison
from .schedule import STEPS, SURVEY_STEPS
from .swapping import FormatCost
from .weight_formats import FULL_PRECISION, WeightFormat, preset_format

__all__ = ["FormatResult", "Results", "claims_of"]

_ENOUGH_SAMPLES = 2_000
_BALANCED_GOAL = 2.0
_PROMISED = {10: 12.0, 20: 7.9, 50: 3.9}
"""Largest relative change of the Fréchet distance in percent, by steps."""

_MAIN_SUBJECT = "emoji-64"


@dataclass(frozen=True)
class FormatResult:
    """A format on one model.

    Attributes:
        weight_format: The format.
        cost: Its bits and the error of the weights.
        output_error: Relative error (root of squares) of the UNet's output over timesteps.
    """

    weight_format: WeightFormat
    cost: FormatCost
    output_error: float


@dataclass(frozen=True)
class Results:
    """One model's results. What was not sampled yet is absent.

    Attributes:
        subject: The model's name.
        formats: By name.
        comparisons: Each format with full precision, by (format, steps).
        chance: Full precision with other start noise, against itself, at 20 steps.
        frechet_fp: Fréchet distance of full precision to real pictures, by steps.
        curve: Full precision against its own 100-step samples, by steps.
    """

    subject: str
    formats: Mapping[str, FormatResult]
    comparisons: Mapping[tuple[str, int], Comparison]
    chance: Comparison | None
    frechet_fp: Mapping[int, float]
    curve: Mapping[int, Comparison]


def claims_of(results: Results) -> Iterator[Claim]:
    """The claims of one model; those of the bundled one have no prefix."""
    prefix = "" if results.subject == _MAIN_SUBJECT else f"{results.subject}_"
    for preset in Preset:
        for steps in STEPS:
            found = results.comparisons.get((preset_format(preset).name, steps))
            if found is not None and found.samples >= _ENOUGH_SAMPLES:
                yield from _preset_claims(prefix, results.subject, preset, steps, found)
    if results.chance is not None:
        yield Claim(
            f"{prefix}frechet_delta_percent_by_chance",
            results.chance.delta_percent,
            "%",
            None,
            "lower",
            f"{results.subject}: full precision from other start noise, {SURVEY_STEPS} steps, "
            f"{results.chance.samples} samples",
        )
    yield from _format_claims(prefix, results)
    for steps, frechet in sorted(results.frechet_fp.items()):
        yield Claim(
            f"{prefix}frechet_fp_{steps}_steps",
            frechet,
            "",
            None,
            "lower",
            f"{results.subject}: full precision to real pictures, EfficientNet-Lite0 features",
        )


def _preset_claims(
    prefix: str, subject: str, preset: Preset, steps: int, found: Comparison
) -> Iterator[Claim]:
    own = steps == preset.steps
    note = (
        f"{subject}: Fréchet distance to real pictures (EfficientNet-Lite0 features), NVFP4 over "
        f"full precision, {steps} steps, {found.samples} samples, standard error "
        f"{found.delta_error:.1f} points; paired PSNR {found.psnr_db:.1f} dB, "
        f"SSIM {found.ssim:.3f}"
    )
    name = f"{prefix}frechet_delta_percent_{preset}"
    if own:
        goal = _BALANCED_GOAL if preset is Preset.BALANCED else _PROMISED[steps]
        yield Claim(name, found.delta_percent, "%", goal, "lower", note)
    else:
        yield Claim(
            f"{name}_{steps}_steps", found.delta_percent, "%", _PROMISED[steps], "lower", note
        )


def _format_claims(prefix: str, results: Results) -> Iterator[Claim]:
    """One for each format: the output's error, with everything else in the note."""
    for name, result in results.formats.items():
        if result.weight_format is FULL_PRECISION:
            continue
        cost = result.cost
        note = (
            f"{results.subject}: {result.weight_format.title}: {cost.bits_per_weight:.2f} bits "
            f"({cost.stored_bits_per_weight:.2f} stored), relative error of weights "
            f"{cost.relative_error:.4f}"
        )
        found = results.comparisons.get((name, SURVEY_STEPS))
        if found is not None:
            note += (
                f", Fréchet distance {found.delta_percent:+.1f} ± {found.delta_error:.1f} % "
                f"({found.samples} samples, {SURVEY_STEPS} steps), PSNR {found.psnr_db:.1f} dB"
            )
        yield Claim(
            f"{prefix}output_error_{name.replace('-', '_')}",
            result.output_error,
            "",
            None,
            "lower",
            note,
        )
