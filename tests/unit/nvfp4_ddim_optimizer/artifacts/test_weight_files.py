"""Files of weights: what is written is read again, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.artifacts import WeightsWriter
from nvfp4_ddim_optimizer.artifacts.container import TORCH_DTYPES, read_header
from nvfp4_ddim_optimizer.artifacts.reader import WeightsFile
from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactError,
    ArtifactFormatError,
    ArtifactVersionError,
    InvalidInputError,
)
from nvfp4_ddim_optimizer.nvfp4 import quantize

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name != "__metadata__"
)
SHAPES = st.lists(st.integers(0, 9), max_size=4)
DTYPES = st.sampled_from(list(TORCH_DTYPES.values()))


def tensor_of(shape: list[int], dtype: torch.dtype, *, seed: int = 0, high: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = torch.Size(shape).numel() * dtype.itemsize
    high = 2 if dtype == torch.bool else high
    data = torch.randint(0, high, (size,), dtype=torch.uint8, generator=generator)
    return data.view(dtype).reshape(shape)


def as_bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def equal(one: Tensor, other: Tensor) -> bool:
    same_kind = one.dtype == other.dtype and one.shape == other.shape
    return same_kind and torch.equal(as_bytes(one), as_bytes(other))


def write(path: Path, tensors: dict[str, Tensor], storage: WeightStorage) -> bytes:
    with WeightsWriter(path, storage) as writer:
        for name, tensor in tensors.items():
            writer.add(name, tensor)
    return path.read_bytes()


def read(path: Path) -> dict[str, Tensor]:
    with WeightsFile(path) as file:
        return {name: file.read(name) for name in file.tensors}


@given(
    st.dictionaries(NAMES, st.tuples(SHAPES, DTYPES, st.sampled_from([1, 3, 256])), max_size=5),
    st.sampled_from(WeightStorage),
)
def test_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: dict[str, tuple[list[int], torch.dtype, int]],
    storage: WeightStorage,
) -> None:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    tensors = {name: tensor_of(s, d, high=h) for name, (s, d, h) in kinds.items()}
    data = write(path, tensors, storage)
    found = read(path)
    assert found.keys() == tensors.keys()
    assert all(equal(found[name], tensors[name]) for name in tensors)
    assert data == write(path, dict(reversed(tensors.items())), storage)
    if storage is WeightStorage.PLAIN:
        plain = load_file(path)
        assert all(equal(plain[name], tensors[name]) for name in tensors)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "codes": tensor_of([64, 100], torch.uint8, high=16),
        "bias": torch.randn(500, generator=generator).bfloat16(),
        "noise": tensor_of([300], torch.uint8),
        "scale": torch.tensor(0.25),
        "column": torch.randn(40, 30, generator=generator).T,
    }


@pytest.fixture
def dense(tmp_path: Path, weights: dict[str, Tensor]) -> Path:
    path = tmp_path / "weights.dense.safetensors"
    write(path, weights, WeightStorage.DENSE)
    return path


def test_tensors_that_do_not_shrink_are_mapped(dense: Path, weights: dict[str, Tensor]) -> None:
    stored = load_file(dense)
    for name in ("noise", "scale"):
        assert equal(stored[name], weights[name])
    for name in ("codes", "bias"):
        assert stored[name].dtype == torch.uint8
        assert len(stored[name]) < weights[name].nbytes


def test_several_threads_read_the_same(dense: Path, weights: dict[str, Tensor]) -> None:
    with WeightsFile(dense) as file:
        names = list(weights) * 5
        found = list(file.read_all(names, threads=3))
    assert [name for name, _ in found] == names
    assert all(equal(tensor, weights[name]) for name, tensor in found)


def test_a_quantised_layer_is_three_tensors_and_a_description(tmp_path: Path) -> None:
    weight = quantize(torch.randn(8, 16, 3, 3, generator=torch.Generator().manual_seed(0)))
    with WeightsWriter(tmp_path / "w.safetensors") as writer:
        size = writer.add_quantized("conv", weight)
    assert size <= weight.codes.nbytes + weight.scales.nbytes + 4
    with WeightsFile(tmp_path / "w.safetensors") as file:
        described = json.loads(file.metadata["_quantization_metadata"])
        assert described["layers"]["conv"]["orig_shape"] == [8, 16, 3, 3]
        assert equal(file.read("conv.weight"), weight.codes)
        assert equal(file.read("conv.weight_scale"), weight.scales)
        assert equal(file.read("conv.weight_scale_2"), weight.global_scale)


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    unusable = torch.zeros(2, dtype=torch.complex64)
    with pytest.raises(InvalidInputError, match="complex64"):
        write(tmp_path / "w", {"a": torch.zeros(1000), "b": unusable}, WeightStorage.DENSE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [("a", torch.zeros(2), "twice"), ("b", torch.zeros(2, dtype=torch.complex64), "complex64")],
)
def test_what_can_not_be_added(tmp_path: Path, name: str, tensor: Tensor, message: str) -> None:
    writer = WeightsWriter(tmp_path / "w.safetensors")
    writer.add("a", torch.zeros(2))
    with pytest.raises(InvalidInputError, match=message):
        writer.add(name, tensor)
    writer.close()


def test_a_flipped_byte_anywhere(dense: Path, weights: dict[str, Tensor]) -> None:
    """It is found, or it lies in a tensor that is stored as it is: those have no checksum here."""
    data = dense.read_bytes()
    begin = int.from_bytes(data[:8], "little") + 8
    stored = read_header(dense).tensors
    raw = [stored["noise"], stored["scale"]]
    for position in [*range(begin), *range(begin, len(data), 31)]:
        damaged = bytearray(data)
        damaged[position] ^= 0x11
        dense.write_bytes(damaged)
        try:
            found = read(dense)
        except ArtifactError:
            continue
        if position < begin:  # a name, or spaces: what the caller expects is no longer there
            assert found.keys() != weights.keys() or position < 8 or _differs(found, weights)
        else:
            assert any(t.start <= position < t.start + t.bytes for t in raw), position


def _differs(found: dict[str, Tensor], weights: dict[str, Tensor]) -> bool:
    kinds = [(tensor.dtype, tensor.shape) for tensor in found.values()]
    return kinds != [(tensor.dtype, tensor.shape) for tensor in weights.values()]


def test_a_truncated_file_of_any_length(dense: Path) -> None:
    data = dense.read_bytes()
    for length in range(0, len(data), 61):
        dense.write_bytes(data[:length])
        with pytest.raises(ArtifactCorruptError, match="can't be read"):
            read(dense)


def forge(path: Path, **table: Any) -> None:
    """The file with another table of tensors."""
    with safe_open(path, "pt") as file:
        known = json.loads(file.metadata()["nvfp4_ddim_dense"])
        tensors = {name: file.get_tensor(name) for name in known["tensors"]}
    save_file(tensors, path, metadata={"nvfp4_ddim_dense": json.dumps({**known, **table})})


def test_a_newer_version(dense: Path) -> None:
    forge(dense, version=2, something_new=1)
    with pytest.raises(ArtifactVersionError, match="upgrade"):
        WeightsFile(dense)


@pytest.mark.parametrize(
    "table",
    [
        {"version": 0},
        {"version": "1"},
        {"extra": 1},
        {"tensors": []},
        {"tensors": {"codes": ["U8"]}},
        {"tensors": {"codes": ["U8", [-1]]}},
        {"tensors": {"codes": ["U8", ["64"]]}},
        {"tensors": {"codes": ["F4", [64]]}},
        {"tensors": {"nowhere": ["U8", [64]]}},
        {"tensors": {"codes": ["U8", [64]], "bias": ["U8", [64]], "scale": ["F32", []]}},
    ],
)
def test_a_table_that_makes_no_sense(dense: Path, table: dict[str, Any]) -> None:
    forge(dense, **table)
    with pytest.raises(ArtifactFormatError, match=r"table|no use"):
        WeightsFile(dense)


@pytest.mark.parametrize("text", ["", "null", "[1]", "{", "[" * 5_000])
def test_a_table_that_is_no_json(dense: Path, text: str) -> None:
    save_file({"a": torch.zeros(1)}, dense, metadata={"nvfp4_ddim_dense": text})
    with pytest.raises(ArtifactFormatError, match="table"):
        WeightsFile(dense)


@pytest.mark.parametrize("shape", [[6_399], [6_401], [0], [64, 101], [2**40, 2**20]])
def test_a_declared_size_that_is_not_the_frames(dense: Path, shape: list[int]) -> None:
    forge(dense, tensors={"codes": ["U8", shape]})
    with WeightsFile(dense) as file, pytest.raises(ArtifactCorruptError, match="declares 6400"):
        file.read("codes")
