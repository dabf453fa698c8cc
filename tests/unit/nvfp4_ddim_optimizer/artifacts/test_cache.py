"""The cache: filled once, by one process, completely."""

import logging
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.artifacts import WeightsWriter, default_cache_directory
from nvfp4_ddim_optimizer.artifacts.cache import WeightsCache
from nvfp4_ddim_optimizer.artifacts.reader import WeightsFile
from nvfp4_ddim_optimizer.errors import ArtifactCorruptError
from nvfp4_ddim_optimizer.nvfp4 import quantize

SHA256 = "ab" * 32


def write(path: Path, storage: WeightStorage) -> Path:
    generator = torch.Generator().manual_seed(0)
    with WeightsWriter(path, storage) as writer:
        writer.add_quantized("conv", quantize(torch.randn(32, 32, 3, 3, generator=generator)))
        writer.add("conv.bias", torch.randn(32, generator=generator).bfloat16())
        writer.add("embedding", torch.randn(100, 64, generator=generator).bfloat16())
        writer.add("zeros", torch.zeros(5_000))
    return path


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    return write(tmp_path / "dense.safetensors", WeightStorage.DENSE)


@pytest.fixture
def plain(tmp_path: Path) -> bytes:
    return write(tmp_path / "plain.safetensors", WeightStorage.PLAIN).read_bytes()


@pytest.fixture
def cache(tmp_path: Path) -> WeightsCache:
    return WeightsCache.of_component(tmp_path / "cache", SHA256, "unet", verify=True)


def fill(dense: Path, cache: WeightsCache) -> bytes:
    with WeightsFile(dense) as file:
        path = cache.plain_copy(file, threads=2)
    assert path == cache.path
    return path.read_bytes()


def test_a_copy_is_the_plain_file(dense: Path, plain: bytes, cache: WeightsCache) -> None:
    assert fill(dense, cache) == plain
    assert cache.path.parent.name == SHA256
    written = cache.path.stat().st_mtime_ns
    assert fill(dense, cache) == plain
    assert cache.path.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["truncate", "header", "missing", "no checksum", "flip"])
def test_a_damaged_copy_is_made_again(
    dense: Path, plain: bytes, cache: WeightsCache, damage: str
) -> None:
    fill(dense, cache)
    data = bytearray(plain)
    if damage == "truncate":
        del data[-1]
    elif damage == "header":
        data[20] ^= 1
    elif damage == "flip":
        data[-1] ^= 1
    cache.path.write_bytes(data)
    if damage == "missing":
        cache.path.unlink()
    if damage == "no checksum":
        cache.path.with_suffix(".sha256").unlink()
    assert fill(dense, cache) == plain


def test_what_a_process_left_when_it_was_ended_is_removed(
    dense: Path, plain: bytes, cache: WeightsCache
) -> None:
    cache.path.parent.mkdir(parents=True)
    left_over = cache.path.parent / ".unet.safetensors.0123.partial"
    left_over.write_bytes(b"half")
    assert fill(dense, cache) == plain
    assert not left_over.exists()


def test_threads_fill_it_at_once(dense: Path, plain: bytes, cache: WeightsCache) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: fill(dense, cache), range(16)))
    assert found == [plain] * 16
    assert list(cache.path.parent.glob("*.partial")) == []


def test_processes_fill_it_at_once(dense: Path, plain: bytes, cache: WeightsCache) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fill, args=(dense, cache)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert cache.path.read_bytes() == plain


def test_a_damaged_frame_fills_nothing(dense: Path, cache: WeightsCache) -> None:
    data = bytearray(dense.read_bytes())
    data[-10] ^= 1
    dense.write_bytes(data)
    with WeightsFile(dense) as file, pytest.raises(ArtifactCorruptError, match="decompressed"):
        cache.plain_copy(file, threads=1)
    assert {path.suffix for path in cache.path.parent.iterdir()} <= {".lock"}


def test_a_cache_that_can_not_be_written(
    dense: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = WeightsCache.of_component(tmp_path / "file", SHA256, "unet", verify=True)
    with caplog.at_level(logging.WARNING), WeightsFile(dense) as file:
        assert cache.plain_copy(file, threads=1) is None
    assert "to memory" in caplog.text


def test_where_it_is() -> None:
    home = Path.home() / ".cache" / "nvfp4-ddim" / "artifacts"
    assert default_cache_directory({"XDG_CACHE_HOME": "/var/c"}) == Path(
        "/var/c/nvfp4-ddim/artifacts"
    )
    assert default_cache_directory({}) == home
    assert default_cache_directory({"XDG_CACHE_HOME": "relative"}) == home
