import torch

from nvfp4_ddim_optimizer.tasks.compress.deblocking import smooth_borders


def _blocks(low: float, high: float) -> torch.Tensor:
    picture = torch.full((3, 32, 48), low)
    picture[:, :, 16:] = high
    return picture


def test_a_small_step_becomes_a_slope() -> None:
    smooth = smooth_borders(_blocks(0.0, 0.01), step=4.0)
    steps = smooth.diff(dim=2)
    assert float(steps.max()) < 0.002
    assert bool((steps >= -1e-7).all())
    assert torch.equal(smooth[:, :, 24:32], _blocks(0.0, 0.01)[:, :, 24:32])


def test_an_edge_of_the_picture_stays() -> None:
    edge = _blocks(-0.2, 0.3)
    assert torch.equal(smooth_borders(edge, step=4.0), edge)


def test_a_slope_stays() -> None:
    slope = torch.linspace(-0.5, 0.5, 48).expand(3, 32, 48)
    torch.testing.assert_close(smooth_borders(slope, step=4.0), slope)


def test_both_directions_are_treated_alike() -> None:
    picture = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0)) / 20
    rows = smooth_borders(_blocks(0.0, 0.01).transpose(1, 2), step=4.0)
    torch.testing.assert_close(rows.transpose(1, 2), smooth_borders(_blocks(0.0, 0.01), step=4.0))
    assert smooth_borders(picture, step=4.0).shape == picture.shape
    tiny = torch.rand(3, 16, 16)
    assert torch.equal(smooth_borders(tiny, step=4.0), tiny)
