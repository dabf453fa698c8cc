import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from nvfp4_ddim_optimizer.planning import trace


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def on_meta(build: type[nn.Module], *arguments: int, **options: int) -> nn.Module:
    with torch.device("meta"):
        return build(*arguments, **options)


def test_counts_what_lives_at_once() -> None:
    layer = on_meta(nn.Linear, 1000, 1000)

    def run() -> None:
        x = meta(100, 1000)
        for _ in range(5):
            x = layer(x)  # the input of a layer lives beside its output, no longer

    work = trace(layer, 1, run)
    assert work.peak_bytes(1, weights=False) == 2 * 100 * 1000 * 4
    assert work.linear_flops == 5 * 2 * 100 * 1000 * 1000


def test_what_is_kept_is_counted() -> None:
    layer = on_meta(nn.Linear, 1000, 1000)

    def run() -> None:
        kept = [meta(100, 1000)]
        for _ in range(5):
            kept.append(layer(kept[-1]))

    assert trace(layer, 1, run).peak_bytes(1, weights=False) == 6 * 100 * 1000 * 4


def test_views_and_changes_in_place_are_free() -> None:
    layer = on_meta(nn.ReLU)

    def run() -> None:
        x = meta(100, 10)
        F.relu(x.T.reshape(10, 10, 10)[2:], inplace=True)
        x.add_(1)

    assert trace(layer, 1, run).peak_bytes(1, weights=False) <= 2 * 100 * 10 * 4


def test_activations_grow_with_pixels_and_weights_do_not() -> None:
    layer = on_meta(nn.Linear, 1000, 1000)
    work = trace(layer, 10, lambda: layer(meta(1, 1000)))
    activations, weight = 2 * 4 * 1000, 4 * 1000 * 1000
    assert work.peak_bytes(10, weights=True) == activations + weight
    assert work.peak_bytes(30, weights=True) == 3 * activations + weight
    assert work.peak_bytes(30, weights=False) == 3 * activations


def test_attention_is_never_materialised() -> None:
    x = (1, 8, 4096, 64)
    work = trace(
        nn.Identity(), 1, lambda: F.scaled_dot_product_attention(meta(*x), meta(*x), meta(*x))
    )
    assert work.peak_bytes(1, weights=False) == 4 * 8 * 4096 * 64 * 4
    assert work.self_attention_flops == 4 * 8 * 4096 * 4096 * 64
    key = (1, 8, 77, 64)
    crossed = trace(
        nn.Identity(),
        1,
        lambda: F.scaled_dot_product_attention(meta(*x), key=meta(*key), value=meta(*key)),
    )
    assert crossed.cross_attention_flops == 4 * 8 * 4096 * 77 * 64


def test_a_convolution_has_copies_of_its_own() -> None:
    layer = on_meta(nn.Conv2d, 32, 32, kernel_size=3, padding=1)
    layers = {False: layer, True: layer.to(memory_format=torch.channels_last)}  # type: ignore[call-overload]
    tensors = 2 * 32 * 64 * 64 * 4
    weight = 32 * 32 * 9 * 4
    plain = on_meta(nn.Conv2d, 32, 32, kernel_size=3, padding=1)
    work = trace(plain, 1, lambda: plain(meta(1, 32, 64, 64)))
    assert work.peak_bytes(1, weights=True) == 2 * tensors + 2 * weight
    assert work.convolution_flops == 2 * 9 * 32 * 32 * 64 * 64
    work = trace(layers[True], 1, lambda: layers[True](meta(1, 32, 64, 64)))
    assert work.peak_bytes(1, weights=True) == tensors + 2 * weight
    work = trace(layers[True], 1, lambda: layers[True](meta(1, 32, 64, 64)), winograd=True)
    patches = 2 * 32 * 16 * 16 * 36 * 4
    assert work.peak_bytes(1, weights=True) == tensors + patches
