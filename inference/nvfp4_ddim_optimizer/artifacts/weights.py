"""One model's tensors in one safetensors file."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.errors import ArtifactCorruptError, ArtifactFormatError
from nvfp4_ddim_optimizer.nn import NVFP4Layer

from .writer import WeightsWriter

__all__ = ["load_weights", "parameter_count", "save_weights"]

_PACKED = ("weight", "weight_scale", "weight_scale_2")
_STORED_FLOATS = (torch.bfloat16, torch.float16, torch.float32)


def save_weights(module: nn.Module, path: Path, storage: WeightStorage) -> None:
    """Write a model: packed weights as they are, all other floating-point tensors in bfloat16.

    Args:
        module: The model; its NVFP4 layers, if any, in either residency.
        path: The file to write.
        storage: Whether tensors are compressed.
    """
    layers = _nvfp4_layers(module)
    packed = _packed_names(layers)
    with WeightsWriter(path, storage) as writer:
        for name, layer in layers.items():
            writer.add_quantized(name, layer.quantized)
        for name, tensor in module.state_dict().items():
            if name not in packed:
                narrow = tensor.is_floating_point()
                writer.add(name, tensor.to(torch.bfloat16) if narrow else tensor)


def load_weights(module: nn.Module, path: Path, compute_dtype: torch.dtype) -> None:
    """Fill a model that was built on the meta device.

    Packed weights stay mapped from the file until they are touched; other floating-point tensors
    are cast to `compute_dtype`.

    Args:
        module: The model, with empty NVFP4 layers where the file holds packed weights.
        path: A safetensors file.
        compute_dtype: float32, float16 or bfloat16.

    Raises:
        ArtifactCorruptError: The file is no safetensors file, or truncated.
        ArtifactFormatError: Its tensors are not those of the model.
    """
    expected = module.state_dict()
    packed = _packed_names(_nvfp4_layers(module))
    tensors = {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            _check_names(path, set(expected), set(file.keys()))
            for name, wanted in expected.items():
                tensor = file.get_tensor(name)
                is_number = wanted.is_floating_point() and name not in packed
                _check_tensor(path, name, tensor, wanted, any_float=is_number)
                tensors[name] = tensor.to(compute_dtype) if is_number else tensor
    except SafetensorError as error:
        raise ArtifactCorruptError(f"{path} can't be read: {error}") from error
    module.load_state_dict(tensors, strict=True, assign=True)


def parameter_count(module: nn.Module) -> int:
    """Parameters of the model as it was before any of its layers were quantised."""
    layers = _nvfp4_layers(module)
    plain = sum(parameter.numel() for parameter in module.parameters())
    return plain + sum(torch.Size(layer.shape).numel() for layer in layers.values())


def _nvfp4_layers(module: nn.Module) -> dict[str, NVFP4Layer]:
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, NVFP4Layer)}


def _packed_names(layers: dict[str, NVFP4Layer]) -> frozenset[str]:
    return frozenset(f"{name}.{part}" for name in layers for part in _PACKED)


def _check_names(path: Path, expected: set[str], found: set[str]) -> None:
    if expected == found:
        return
    difference = sorted(expected ^ found)
    raise ArtifactFormatError(
        f"{path} does not hold the tensors that its model has: {len(expected - found)} missing, "
        f"{len(found - expected)} unknown, such as {difference[0]!r}"
    )


def _check_tensor(
    path: Path, name: str, tensor: Tensor, wanted: Tensor, *, any_float: bool
) -> None:
    fits = tensor.dtype in _STORED_FLOATS if any_float else tensor.dtype == wanted.dtype
    if not fits or tensor.shape != wanted.shape:
        raise ArtifactFormatError(
            f"{path}: {name} is {tensor.dtype} {list(tensor.shape)}, but the model has "
            f"{wanted.dtype} {list(wanted.shape)} there"
        )
