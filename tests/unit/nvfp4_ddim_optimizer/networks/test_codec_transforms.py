import torch

from nvfp4_ddim_optimizer.networks import CodecAnalysis, CodecHyperAnalysis, CodecSynthesis


def test_shapes_and_their_configuration() -> None:
    torch.manual_seed(0)
    analysis = CodecAnalysis(latent_channels=12, fine_width=8, coarse_width=16)
    synthesis = CodecSynthesis(latent_channels=12, fine_width=8, coarse_width=16)
    hyper = CodecHyperAnalysis(latent_channels=12, hyper_channels=3, width=8)
    x, log_step = torch.rand(2, 3, 80, 48) - 0.5, torch.tensor([-1.0, 0.5])
    y = analysis(x, log_step)
    assert y.shape == (2, 12, 5, 3)
    assert hyper(y).shape == (2, 3, 2, 1)
    assert synthesis(y, log_step).shape == x.shape
    again = type(synthesis).from_config(synthesis.config)
    again.load_state_dict(synthesis.state_dict())
    assert torch.equal(again(y, log_step), synthesis(y, log_step))


def test_latents_are_in_steps() -> None:
    """Where the networks beside it are silent, twice the step gives half the latent."""
    analysis = CodecAnalysis(latent_channels=12, fine_width=8, coarse_width=16)
    torch.nn.init.zeros_(analysis.out.weight)
    torch.nn.init.zeros_(analysis.out.bias)
    x = torch.rand(1, 3, 32, 32) - 0.5
    once, twice = (analysis(x, torch.tensor([step]).log()) for step in (0.2, 0.4))
    torch.testing.assert_close(once, 2 * twice)
