import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from nvfp4_ddim_optimizer.diffusion import classifier_free_guidance, needs_unconditional

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
COND = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
UNCOND = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))


class Model:
    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x: Tensor, t: int, condition: Tensor) -> Tensor:
        self.batches.append(x.shape[0])
        return x * condition.mean(dim=(1, 2)).view(-1, 1, 1, 1) + t


def test_extrapolates_from_unconditional_to_conditional_in_one_call() -> None:
    model = Model()
    result = classifier_free_guidance(model, COND, UNCOND, 7.5)(X, 3)
    assert model.batches == [4]
    cond, uncond = Model()(X, 3, COND), Model()(X, 3, UNCOND)
    torch.testing.assert_close(result, uncond + 7.5 * (cond - uncond))


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_skips_the_unconditional_pass_where_guidance_is_off(scale: float) -> None:
    model = Model()
    result = classifier_free_guidance(model, COND, UNCOND, scale)(X, 3)
    assert not needs_unconditional(scale)
    assert model.batches == [2]
    torch.testing.assert_close(result, Model()(X, 3, COND))


def test_rescales_like_diffusers() -> None:
    plain = classifier_free_guidance(Model(), COND, UNCOND, 5.0)(X, 3)
    rescaled = classifier_free_guidance(Model(), COND, UNCOND, 5.0, guidance_rescale=0.7)(X, 3)
    expected = rescale_noise_cfg(plain, Model()(X, 3, COND), guidance_rescale=0.7)
    torch.testing.assert_close(rescaled, expected)
