"""What each shortcut saves and what it costs.

Saved: operations counted on the architecture of Stable Diffusion 1.5 at 512 x 512, which hold
on every machine, and seconds measured on this one with random weights. Cost: pictures of the
bundled model against the same seeds without shortcuts.

    python -m training.emoji_data && python -m benchmarks.operations    # operations and error
    python -m benchmarks.operations --time /tmp/sd15    # seconds; makes the model if absent
"""

import functools
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer
from diffusers import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.architectures import empty_unet, write_model
from benchmarks.claims import DOCS, Claim, write_claims
from benchmarks.paired import Errors, Painted, Painter
from nvfp4_ddim_optimizer.denoiser import (
    TokenMerging,
    enable_token_merging,
    full_pass,
    refresh_timesteps,
    shallow_pass,
)
from nvfp4_ddim_optimizer.diffusion import guided_timesteps, uniform_timesteps
from nvfp4_ddim_optimizer.presets import PRESETS, get_preset
from nvfp4_ddim_optimizer.shortcuts import Shortcuts

__all__ = ["main"]

COMMAND = "python -m benchmarks.operations"
SD15_GUIDANCE, LATENT_SIDE = 7.5, 64
SETTINGS = {
    "cache2": Shortcuts(cache_interval=2),
    "cache3": Shortcuts(cache_interval=3),
    "cache4": Shortcuts(cache_interval=4),
    "cache5": Shortcuts(cache_interval=5),
    "guidance_0_90": Shortcuts(guidance_interval=(0.0, 0.9)),
    "guidance_0_80": Shortcuts(guidance_interval=(0.0, 0.8)),
    "guidance_0_60": Shortcuts(guidance_interval=(0.0, 0.6)),
    "guidance_20_80": Shortcuts(guidance_interval=(0.2, 0.8)),
    "merge25": Shortcuts(token_merging_ratio=0.25),
    "merge50": Shortcuts(token_merging_ratio=0.5),
    "cache3_guidance_0_80": Shortcuts(cache_interval=3, guidance_interval=(0.0, 0.8)),
}


class Pass(NamedTuple):
    """One call of the UNet; what kind decides what it costs."""

    is_whole: bool
    branches: int
    ratio: float


def passes(steps: int, shortcuts: Shortcuts) -> Counter[Pass]:
    """The calls of a run with guidance."""
    plan = uniform_timesteps(steps)
    guided_at = guided_timesteps(plan, SD15_GUIDANCE, shortcuts.guidance_interval)
    whole_at = refresh_timesteps(plan, shortcuts.cache_interval, guided_at)
    return Counter(
        Pass(t in whole_at, 2 if t in guided_at else 1, shortcuts.token_merging_ratio)
        for t in plan.timesteps
    )


def call(unet: Any, kind: Pass, side: int, device: str) -> None:
    """Make one call of Stable Diffusion 1.5's UNet on latents of side x side."""
    shapes = ((4, side, side), (77, 768), (320, side, side))
    x, condition, deep = (torch.ones(kind.branches, *shape, device=device) for shape in shapes)
    timestep = torch.tensor(1, device=device)
    options = {"token_merging": TokenMerging(side, side, kind.ratio)} if kind.ratio else {}
    if kind.is_whole:
        full_pass(unet, x, timestep, condition, options=options)
    else:
        shallow_pass(unet, x, timestep, condition, deep, options=options)


@functools.cache
def pass_operations(kind: Pass) -> int:
    """Floating point operations of a call at 512 x 512."""
    unet = empty_unet("sd15").eval()
    enable_token_merging(unet)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        call(unet, kind._replace(branches=1), LATENT_SIDE, "meta")
    return kind.branches * int(counter.get_total_flops())


def pass_seconds(model: Path, kinds: set[Pass], repeats: int) -> dict[Pass, float]:
    """Median seconds of calls at 512 x 512, the kinds taking turns."""
    unet = UNet2DConditionModel.from_pretrained(model / "unet").eval()
    enable_token_merging(unet)
    taken: dict[Pass, list[float]] = {kind: [] for kind in sorted(kinds)}
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for kind, values in taken.items():
                begun = time.perf_counter()
                call(unet, kind, LATENT_SIDE, "cpu")
                values.append(time.perf_counter() - begun)
    return {kind: statistics.median(values[1:]) for kind, values in taken.items()}


def saved(cost: Callable[[Pass], float], steps: int, shortcuts: Shortcuts) -> float:
    """Cost of a run without shortcuts over that with them."""

    def total(choice: Shortcuts) -> float:
        return sum(count * cost(kind) for kind, count in passes(steps, choice).items())

    return total(Shortcuts()) / total(shortcuts)


def _plot(points: dict[str, tuple[float, float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for name, (ratio, psnr) in points.items():
        axes.scatter(ratio, psnr, s=24)
        axes.annotate(name, (ratio, psnr), xytext=(4, 3), textcoords="offset points", size=7)
    axes.set_xlabel("UNet operations without / with (SD 1.5, 512 x 512)")
    axes.set_ylabel("paired PSNR of the bundled model, dB")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _label(shortcuts: Shortcuts) -> str:
    start, stop = shortcuts.guidance_interval
    return (
        f"cache interval {shortcuts.cache_interval}, guidance on {start:g} to {stop:g} of the "
        f"steps, token merging {shortcuts.token_merging_ratio:g}"
    )


def _runs() -> list[tuple[str, int, Shortcuts]]:
    """(name, steps, shortcuts) of everything that is measured."""
    balanced = get_preset("balanced").num_inference_steps
    singles = [(name, balanced, shortcuts) for name, shortcuts in SETTINGS.items()]
    singles += [(f"{name}_at_10", 10, SETTINGS[name]) for name in ("cache2", "cache3")]
    presets = [
        (f"preset_{name}", config.num_inference_steps, config.shortcuts)
        for name, config in PRESETS.items()
    ]
    return presets + singles


def _measure_time(model: Path, repeats: int) -> None:
    if not (model / "unet").is_dir():
        write_model("sd15", model)
    runs = _runs()
    kinds = {
        kind
        for _, steps, s in runs
        for choice in (s, Shortcuts())
        for kind in passes(steps, choice)
    }
    took = pass_seconds(model, kinds, repeats)
    where = f"SD 1.5 UNet in float32, random weights, 512 x 512, {torch.get_num_threads()} threads"
    claims = [
        Claim(
            f"pass_{'whole' if kind.is_whole else 'shallow'}_{kind.branches}_{kind.ratio:g}",
            value,
            "s",
            None,
            "lower",
            f"one call, batch {kind.branches}, token merging {kind.ratio:g}; {where}",
        )
        for kind, value in took.items()
    ]
    claims += [
        Claim(
            f"{name}_time_ratio",
            saved(took.__getitem__, steps, shortcuts),
            "x",
            None,
            "higher",
            f"seconds in the UNet without / with, of {steps} steps, summed from calls; "
            f"{_label(shortcuts)}; {where}",
        )
        for name, steps, shortcuts in runs
    ]
    typer.echo(write_claims("operations_time", f"{COMMAND} --time DIRECTORY", claims))


def _measure_errors(data: Path, captions: int) -> None:
    painter = Painter(data, captions)
    exact: dict[int, Painted] = {}
    claims: list[Claim] = []
    points: dict[str, tuple[float, float]] = {}

    def claim_retrieval(name: str, painted: Painted, what: str) -> None:
        share = 100 * painter.shares_retrieved(painted)["top10"]
        note = f"{captions} captions whose own drawing is among the 10 nearest; {what}"
        claims.append(Claim(f"{name}_top10", share, "%", None, "higher", note))

    for name, steps, shortcuts in _runs():
        if steps not in exact:
            exact[steps] = painter.paint(steps, Shortcuts())
            claim_retrieval(f"exact_{steps}", exact[steps], f"no shortcuts; {steps} steps")
        ratio = saved(pass_operations, steps, shortcuts)
        what = f"{_label(shortcuts)}; {steps} steps"
        counted = f"UNet operations without / with, counted on SD 1.5 at 512 x 512; {what}"
        claims.append(Claim(f"{name}_operations_ratio", ratio, "x", None, "higher", counted))
        if not shortcuts.are_exact:
            painted = painter.paint(steps, shortcuts)
            errors = painter.compare(exact[steps], painted)
            claims += _claim_errors(name, errors, captions, what)
            claim_retrieval(name, painted, what)
            points[name] = (ratio, errors.psnr)
            typer.echo(f"{name}: {ratio:.2f}x {errors} {claims[-1].value:.0f} %")
    path = write_claims("operations", COMMAND, claims)
    _plot(points, DOCS / "operations_psnr.png")
    typer.echo(path)


def _claim_errors(name: str, errors: Errors, captions: int, what: str) -> list[Claim]:
    note = f"{captions} pictures of emoji-64 against the same seeds without, median; {what}"
    return [
        Claim(f"{name}_psnr", errors.psnr, "dB", None, "higher", note),
        Claim(f"{name}_ssim", errors.ssim, "", None, "higher", note),
        Claim(f"{name}_latent_error", errors.latent, "relative L2", None, "lower", note),
    ]


def main(
    captions: Annotated[int, typer.Option(help="Paired pictures of each setting.")] = 24,
    data: Annotated[Path, typer.Option(help="Drawings.")] = Path("training/data/emoji_64.npz"),
    timed: Annotated[
        Path | None,
        typer.Option(
            "--time", help="Time this SD 1.5 with random weights instead; made if absent."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed calls of each kind.")] = 3,
) -> None:
    """Measure, write the claims and the plot."""
    if timed is None:
        _measure_errors(data, captions)
    else:
        _measure_time(timed, repeats)


if __name__ == "__main__":
    typer.run(main)
