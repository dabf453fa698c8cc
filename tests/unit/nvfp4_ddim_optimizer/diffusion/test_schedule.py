import pytest
import torch
from diffusers import DDIMScheduler

from nvfp4_ddim_optimizer.diffusion import BetaSchedule, NoiseSchedule, make_betas
from nvfp4_ddim_optimizer.diffusion.schedule import rescale_zero_terminal_snr
from nvfp4_ddim_optimizer.errors import InvalidInputError


@pytest.mark.parametrize("schedule", BetaSchedule)
@pytest.mark.parametrize("zero_terminal_snr", [False, True])
@pytest.mark.parametrize("set_alpha_to_one", [False, True])
def test_equals_diffusers_table(
    schedule: BetaSchedule, zero_terminal_snr: bool, set_alpha_to_one: bool
) -> None:
    theirs = DDIMScheduler(
        beta_schedule=schedule.value,
        beta_start=0.00085,
        beta_end=0.012,
        rescale_betas_zero_snr=zero_terminal_snr,
        set_alpha_to_one=set_alpha_to_one,
    )
    ours = NoiseSchedule.from_betas(
        make_betas(schedule, 1000, 0.00085, 0.012),
        zero_terminal_snr=zero_terminal_snr,
        set_alpha_to_one=set_alpha_to_one,
    )
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=1e-6, atol=1e-7)
    assert ours.final_alpha_cumprod == pytest.approx(float(theirs.final_alpha_cumprod))
    assert (float(ours.alphas_cumprod[-1]) == 0) is zero_terminal_snr


def test_signal_falls_with_time_and_is_clean_before_it() -> None:
    schedule = NoiseSchedule.from_betas(make_betas(BetaSchedule.SCALED_LINEAR))
    assert (schedule.alphas_cumprod.diff() < 0).all()
    assert schedule.alpha_cumprod(-1) == 1.0
    assert schedule.alpha_cumprod(0) == pytest.approx(1 - 1e-4)
    assert schedule.num_train_timesteps == 1000


def test_zero_terminal_snr_keeps_the_first_timestep() -> None:
    betas = make_betas(BetaSchedule.LINEAR, 100)
    rescaled = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0)
    torch.testing.assert_close(rescaled[0], 1 - betas[0])
    assert rescaled[-1] == 0


def test_zero_terminal_snr_needs_two_timesteps() -> None:
    with pytest.raises(InvalidInputError, match="at least 2"):
        rescale_zero_terminal_snr(torch.tensor([0.1]))
