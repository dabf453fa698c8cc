"""One model's tensors in one safetensors file."""

from pathlib import Path

import torch
from torch import Tensor, nn

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.errors import ArtifactFormatError
from nvfp4_ddim_optimizer.networks import Tables
from nvfp4_ddim_optimizer.nn import NVFP4Layer, compute_as_stored

from .cache import WeightsCache
from .container import TORCH_DTYPES, StoredTensor
from .reader import WeightsFile
from .writer import WeightsWriter

__all__ = ["load_weights", "parameter_count", "save_weights"]

_PACKED = ("weight", "weight_scale", "weight_scale_2")
_STORED_FLOATS = (torch.bfloat16, torch.float16, torch.float32)


def save_weights(module: nn.Module, path: Path, storage: WeightStorage) -> None:
    """Write a model: packed weights as they are, all other floating-point tensors in bfloat16,
    those of `Tables` exactly.

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
                narrow = tensor.is_floating_point() and not _keeps_dtype(module)
                writer.add(name, tensor.to(torch.bfloat16) if narrow else tensor)


def load_weights(
    module: nn.Module,
    path: Path,
    compute_dtype: torch.dtype,
    *,
    cache: WeightsCache | None = None,
    keep_stored: bool = False,
) -> None:
    """Fill a model that was built on the meta device.

    Packed weights that are stored as they are stay mapped from the file until they are touched;
    other floating-point tensors are cast to `compute_dtype`. Nothing is decompressed before
    everything that the file declares was compared with the model.

    Args:
        module: The model, with empty NVFP4 layers where the file holds packed weights.
        path: A safetensors file, plain or compressed.
        compute_dtype: float32, float16 or bfloat16.
        cache: Where to decompress to, for packed weights to be mapped from; memory when None or
            when it can't be written.
        keep_stored: Leave the weights of plain layers in the dtype they are stored in, mapped as
            the packed ones are; their layers cast them in every call.

    Raises:
        ArtifactCorruptError: The file is no safetensors file, truncated or damaged.
        ArtifactVersionError: It is compressed in a newer version.
        ArtifactFormatError: Its tensors are not those of the model.
    """
    expected = module.state_dict()
    packed = _packed_names(_nvfp4_layers(module))
    uncast = compute_as_stored(module, compute_dtype) if keep_stored else frozenset()
    threads = torch.get_num_threads()
    with WeightsFile(path) as declared:
        _check_names(path, set(expected), set(declared.tensors))
        for name, wanted in expected.items():
            is_number = _is_cast(module, name, wanted, packed)
            _check_tensor(path, declared.tensors[name], wanted, any_float=is_number)
        plain = None if cache is None else cache.plain_copy(declared, threads)
    tensors = {}
    with WeightsFile(plain or path) as file:
        for name, tensor in file.read_all(expected, threads):
            cast = _is_cast(module, name, expected[name], packed) and name not in uncast
            tensors[name] = tensor.to(compute_dtype) if cast else tensor
    module.load_state_dict(tensors, strict=True, assign=True)


def parameter_count(module: nn.Module) -> int:
    """Parameters of the model as it was before any of its layers were quantised."""
    layers = _nvfp4_layers(module)
    plain = sum(parameter.numel() for parameter in module.parameters())
    return plain + sum(torch.Size(layer.shape).numel() for layer in layers.values())


def _nvfp4_layers(module: nn.Module) -> dict[str, NVFP4Layer]:
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, NVFP4Layer)}


def _keeps_dtype(module: nn.Module) -> bool:
    return isinstance(module, Tables)


def _is_cast(module: nn.Module, name: str, tensor: Tensor, packed: frozenset[str]) -> bool:
    """Whether a tensor is a plain number, which may be stored and used in any floating dtype."""
    return tensor.is_floating_point() and name not in packed and not _keeps_dtype(module)


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


def _check_tensor(path: Path, found: StoredTensor, wanted: Tensor, *, any_float: bool) -> None:
    dtype = TORCH_DTYPES[found.dtype]
    fits = dtype in _STORED_FLOATS if any_float else dtype == wanted.dtype
    if not fits or found.shape != tuple(wanted.shape):
        raise ArtifactFormatError(
            f"{path}: {found.name} is {dtype} {list(found.shape)}, but the model has "
            f"{wanted.dtype} {list(wanted.shape)} there"
        )
