import numpy as np
import torch
from torch.nn import functional

from nvfp4_ddim_optimizer.tasks.compress.integer_network import (
    ACTIVATION_LIMIT,
    IntegerLayer,
    neighbourhoods,
)


def _layer(rng: np.random.Generator, outputs: int, inputs: int) -> dict[str, np.ndarray]:
    return {
        "a_weight": rng.integers(-32767, 32768, (outputs, inputs)).astype(np.int16),
        "a_bias": rng.integers(-(2**30), 2**30, outputs),
        "a_shift": rng.integers(1, 20, outputs).astype(np.int32),
    }


def test_a_layer_is_whole_number_arithmetic() -> None:
    rng = np.random.default_rng(0)
    tables = _layer(rng, 40, 650)
    x = rng.integers(-ACTIVATION_LIMIT, ACTIVATION_LIMIT + 1, (650, 33))
    shift = tables["a_shift"].astype(np.int64)
    exact = tables["a_weight"].astype(np.int64) @ x + tables["a_bias"][:, None]
    wanted = (exact + (1 << (shift - 1))[:, None]) >> shift[:, None]
    layer = IntegerLayer.of(tables, "a")
    np.testing.assert_array_equal(layer(x.astype(np.float64)).astype(np.int64), wanted)
    # In any order of summation:
    order = rng.permutation(650)
    shuffled = IntegerLayer(layer.weight[:, order], layer.bias, layer.scale)
    np.testing.assert_array_equal(shuffled(x[order].astype(np.float64)).astype(np.int64), wanted)


def test_neighbourhoods_are_those_of_a_convolution() -> None:
    rng = np.random.default_rng(1)
    planes = [rng.integers(-9, 9, (2, 5, 7)).astype(np.float64) for _ in range(2)]
    weight = rng.integers(-5, 5, (3, 4, 3, 3)).astype(np.float64)
    rows, columns = (axis.ravel() for axis in np.indices((5, 7)))
    mine = weight.reshape(3, -1) @ neighbourhoods(planes, rows, columns)
    stacked = torch.from_numpy(np.concatenate(planes))[None]
    wanted = functional.conv2d(stacked, torch.from_numpy(weight), padding=1)[0]
    np.testing.assert_array_equal(mine.reshape(3, 5, 7), wanted.numpy())
