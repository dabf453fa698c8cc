from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from nvfp4_ddim_optimizer.denoiser import (
    Denoiser,
    FeatureCache,
    full_pass,
    refresh_timesteps,
    shallow_pass,
)
from nvfp4_ddim_optimizer.denoiser.model import _compiled
from nvfp4_ddim_optimizer.diffusion import (
    Branch,
    NoiseSchedule,
    classifier_free_guidance,
    guided_timesteps,
    initial_noise,
    sample_ddim,
    uniform_timesteps,
)

STEPS = 7
PLAN = uniform_timesteps(STEPS, 1000)
SCALE = 4.0
BOTH = (Branch.UNCONDITIONAL, Branch.CONDITIONAL)
DEEP = "mid_block"


def conditions(seed: int, batch: int = 2) -> dict[Branch, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {branch: torch.randn(batch, 5, 32, generator=generator) for branch in BOTH}


@torch.inference_mode()
def sample(
    unet: Any,
    schedule: NoiseSchedule,
    *,
    seed: int = 0,
    interval: int = 1,
    guidance: tuple[float, float] = (0.0, 1.0),
    batched: bool = True,
    ratio: float = 0.0,
) -> Tensor:
    guided_at = guided_timesteps(PLAN, SCALE, guidance)
    cache = FeatureCache(refresh_timesteps(PLAN, interval, guided_at)) if interval > 1 else None
    denoiser = Denoiser(
        unet, conditions(seed), batched=batched, cache=cache, token_merging_ratio=ratio
    )
    generators = [torch.Generator().manual_seed(seed + k) for k in range(2)]
    return sample_ddim(
        classifier_free_guidance(denoiser, SCALE, guided_at=guided_at),
        initial_noise((4, 8, 8), generators, torch.device("cpu")),
        schedule,
        PLAN,
    )


@pytest.fixture(scope="module")
def unet(tiny_pipeline: Callable[..., Any]) -> Any:
    return tiny_pipeline("sd1").unet


@pytest.fixture(scope="module")
def schedule() -> NoiseSchedule:
    return NoiseSchedule.from_betas(torch.linspace(0.00085, 0.012, 1000))


def count_passes(unet: Any, part: str) -> tuple[list[int], Any]:
    """Batch sizes that a part of the UNet is called with."""
    batches: list[int] = []
    handle = unet.get_submodule(part).register_forward_hook(
        lambda _module, _args, out: batches.append(len(out))
    )
    return batches, handle


@pytest.mark.parametrize(
    ("interval", "guidance", "whole"),
    [
        (1, (0.0, 1.0), [4] * 7),
        (2, (0.0, 1.0), [4] * 4),
        (3, (0.0, 1.0), [4] * 3),
        (20, (0.0, 1.0), [4]),
        (3, (0.0, 0.6), [4, 4, 2]),  # steps 0, 3 and 6; guidance ends before step 4
        (3, (0.3, 1.0), [2, 4, 4, 4]),  # step 2 is the first with guidance
    ],
)
def test_the_deep_part_runs_in_every_nth_step_only(
    unet: Any,
    schedule: NoiseSchedule,
    interval: int,
    guidance: tuple[float, float],
    whole: list[int],
) -> None:
    deep, first = count_passes(unet, DEEP)
    shallow, second = count_passes(unet, "conv_in")
    sample(unet, schedule, interval=interval, guidance=guidance)
    first.remove()
    second.remove()
    assert deep == whole
    assert len(shallow) == STEPS


def test_an_interval_that_refreshes_always_is_exact(unet: Any, schedule: NoiseSchedule) -> None:
    """The cut passes, refreshed in every step, against the UNet's own forward."""
    always = FeatureCache(frozenset(PLAN.timesteps))
    with torch.inference_mode():
        x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        cut = Denoiser(unet, conditions(0), cache=always)(x, 500, BOTH)
        plain = Denoiser(unet, conditions(0))(x, 500, BOTH)
    assert all(torch.equal(a, b) for a, b in zip(cut, plain, strict=True))


@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize("guidance", [(0.0, 1.0), (0.3, 0.9)])
def test_one_branch_after_the_other_is_the_same_but_for_rounding(
    unet: Any, schedule: NoiseSchedule, interval: int, guidance: tuple[float, float]
) -> None:
    settings: dict[str, Any] = {"interval": interval, "guidance": guidance}
    batched = sample(unet, schedule, **settings)
    deep, handle = count_passes(unet, DEEP)
    one_by_one = sample(unet, schedule, batched=False, **settings)
    handle.remove()
    assert set(deep) == {2}
    torch.testing.assert_close(one_by_one, batched, rtol=1e-4, atol=1e-4)


def test_shortcuts_change_the_sample_and_leave_nothing_behind(
    deep_unet: Callable[..., Any], schedule: NoiseSchedule
) -> None:
    unet = deep_unet(cross_attention_dim=32)
    exact = sample(unet, schedule)
    for settings in ({"interval": 2}, {"guidance": (0.0, 0.8)}, {"ratio": 0.5}):
        short = sample(unet, schedule, **settings)  # type: ignore[arg-type]
        assert torch.isfinite(short).all()
        assert not torch.equal(short, exact)
    assert torch.equal(sample(unet, schedule), exact)


def test_runs_at_the_same_time_know_nothing_of_each_other(
    deep_unet: Callable[..., Any], schedule: NoiseSchedule
) -> None:
    unet = deep_unet(cross_attention_dim=32)
    settings: list[dict[str, Any]] = [
        {"seed": 1, "interval": 3},
        {"seed": 2, "interval": 3},
        {"seed": 3},
        {"seed": 4, "interval": 2, "ratio": 0.5},
        {"seed": 5, "interval": 2, "guidance": (0.2, 0.7)},
    ]
    alone = [sample(unet, schedule, **each) for each in settings]
    with ThreadPoolExecutor(len(settings)) as pool:
        together = list(pool.map(lambda each: sample(unet, schedule, **each), settings))
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


def test_an_offloaded_unet_is_fetched_before_its_parts_are_called(
    unet: Any, schedule: NoiseSchedule
) -> None:
    class Hook:
        calls = 0

        def pre_forward(self, module: Any) -> None:
            assert module is unet
            self.calls += 1

    unet._hf_hook = Hook()
    try:
        sample(unet, schedule, interval=2)
        assert unet._hf_hook.calls == STEPS
    finally:
        del unet._hf_hook


@pytest.mark.slow
@torch.inference_mode()
def test_a_compiled_unets_parts_are_compiled_too(
    tiny_pipeline: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as torch.compile does, less the generation of code, which takes a minute."""
    compiled: list[Any] = []

    def trace(function: Any, **_: Any) -> Any:
        compiled.append(function)
        return traced(function, backend="eager")

    traced = torch.compile
    monkeypatch.setattr(torch, "compile", trace)
    _compiled.cache_clear()
    unet = tiny_pipeline("sd1").unet
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def predict() -> list[Tensor]:
        denoiser = Denoiser(unet, conditions(0), cache=FeatureCache(frozenset([900])))
        return [part for t in (900, 800, 700) for part in denoiser(x, t, BOTH)]

    try:
        plain = predict()
        assert compiled == []
        unet.compile()
        compiled.clear()
        assert all(torch.equal(a, b) for a, b in zip(predict(), plain, strict=True))
        assert compiled == [full_pass, shallow_pass]
    finally:
        _compiled.cache_clear()
