"""What lossless coding of an artifact's weights saves, and how fast it is undone.

    python -m benchmarks.dense

Of the UNet of Stable Diffusion 1.5 with random weights, by the preset "balanced".
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zstandard
from numpy.typing import NDArray

from nvfp4_ddim_contracts import WeightStorage
from nvfp4_ddim_optimizer.artifacts import WeightsWriter
from nvfp4_ddim_optimizer.artifacts.frames import encode_frame
from nvfp4_ddim_optimizer.artifacts.reader import WeightsFile

from .artifacts import ARTIFACTS, ready_artifact
from .claims import Claim, write_claims

__all__ = ["main"]

Bytes = NDArray[np.uint8]

_GOAL_MB_PER_S = 500.0
_ROUNDS = 7
_BLOCK_BYTES = 8  # codes of one block of 16 weights


@dataclass(frozen=True)
class _Packed:
    """A quantised weight's bytes: codes [rows, K / 2] and block scales [rows, K / 16]."""

    codes: Bytes
    scales: Bytes


def _zstd(level: int, **parameters: int) -> Callable[[Bytes], int]:
    def size(data: Bytes) -> int:
        chosen = zstandard.ZstdCompressionParameters.from_level(
            level, source_size=data.size, write_checksum=True, **parameters
        )
        compressor = zstandard.ZstdCompressor(compression_params=chosen)
        return min(len(compressor.compress(np.ascontiguousarray(data).data)), data.size)

    return size


def _frame(data: Bytes) -> int:
    return min(len(encode_frame(np.ascontiguousarray(data).reshape(-1), 1)), data.size)


def _chunks(data: Bytes, chunk_bytes: int) -> int:
    flat = data.reshape(-1)
    return sum(_frame(flat[i : i + chunk_bytes]) for i in range(0, flat.size, chunk_bytes))


def _by_scale(packed: _Packed) -> Bytes:
    """Blocks of codes in the order of their scales: what a coder that knows them could use."""
    order = np.argsort(packed.scales.reshape(-1), kind="stable")
    by_scale: Bytes = packed.codes.reshape(-1, _BLOCK_BYTES)[order]
    return by_scale


def _differences(scales: Bytes) -> Bytes:
    return np.diff(scales.reshape(-1), prepend=scales.reshape(-1)[:1])


def _entropy_bytes(symbols: NDArray[np.generic]) -> float:
    """Size by an ideal coder of single symbols, its table not counted."""
    _, counts = np.unique(symbols, return_counts=True)
    return float(-(counts * np.log2(counts / symbols.size)).sum() / 8)


def _nibble_entropy_bytes(codes: Bytes) -> float:
    counts = np.bincount(codes.reshape(-1), minlength=256).reshape(16, 16)
    nibbles = counts.sum(0) + counts.sum(1)
    nibbles = nibbles[nibbles > 0]
    return float(-(nibbles * np.log2(nibbles / nibbles.sum())).sum() / 8)


# Every way of coding that was tried: name and size in bytes of one weight's codes and scales.
_ALTERNATIVES: dict[str, Callable[[_Packed], float]] = {
    "frames": lambda p: _frame(p.codes) + _frame(p.scales),
    "zstd_1": lambda p: _zstd(1)(p.codes) + _zstd(1)(p.scales),
    "zstd_3": lambda p: _zstd(3)(p.codes) + _zstd(3)(p.scales),
    "zstd_9": lambda p: _zstd(9)(p.codes) + _zstd(9)(p.scales),
    "zstd_19": lambda p: _zstd(19)(p.codes) + _zstd(19)(p.scales),
    "zstd_19_window_128m": lambda p: (
        _zstd(19, window_log=27)(p.codes) + _zstd(19, window_log=27)(p.scales)
    ),
    "frames_chunked_64k": lambda p: _chunks(p.codes, 1 << 16) + _chunks(p.scales, 1 << 16),
    "frames_chunked_256k": lambda p: _chunks(p.codes, 1 << 18) + _chunks(p.scales, 1 << 18),
    "frames_chunked_1m": lambda p: _chunks(p.codes, 1 << 20) + _chunks(p.scales, 1 << 20),
    "frames_blocks_by_scale": lambda p: _frame(_by_scale(p)) + _frame(p.scales),
    "frames_scale_differences": lambda p: _frame(p.codes) + _frame(_differences(p.scales)),
    "ideal_coder": lambda p: _nibble_entropy_bytes(p.codes) + _entropy_bytes(p.scales),
}


def main() -> None:
    """Measure, and write the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ARTIFACTS, help="where artifacts are kept")
    parser.add_argument("--sample-weights", type=float, default=20e6, help="for alternatives")
    arguments = parser.parse_args()
    weights = ready_artifact("sd15", arguments.work) / "unet" / "weights.dense.safetensors"
    with WeightsFile(weights) as file:
        claims = [*_decoding(file), *_sizes(file), *_alternatives(file, arguments.sample_weights)]
    for claim in claims:
        print(f"{claim.id:40s} {claim.value:12.4f} {claim.unit}")
    write_claims("dense", "python -m benchmarks.dense", claims)


def _decoding(file: WeightsFile) -> list[Claim]:
    """Decoding speed of the whole file, from the page cache to memory, in bytes that come out.

    One thread by its processor time, which other programs lengthen less than they do the clock's.
    """
    clocks = {1: time.process_time, 2: time.perf_counter}
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(_ROUNDS):
        for threads, clock in clocks.items():
            start = clock()
            for _name, _tensor in file.read_all(file.tensors, threads):
                pass
            seconds[threads].append(clock() - start)
    size = sum(tensor.bytes for tensor in file.tensors.values()) / 1e6
    note = f"{size:.0f} MB come out, from files in memory, median of {_ROUNDS}; "
    one, two = (size / statistics.median(seconds[threads]) for threads in (1, 2))
    return [
        Claim(
            "dense_decode_mb_per_s",
            one,
            "MB/s",
            _GOAL_MB_PER_S,
            "higher",
            note + "one thread, processor time",
        ),
        Claim(
            "dense_decode_mb_per_s_2_threads",
            two,
            "MB/s",
            None,
            "higher",
            note + "two threads, elapsed time",
        ),
    ]


def _sizes(file: WeightsFile) -> list[Claim]:
    with tempfile.TemporaryDirectory() as directory:
        plain = Path(directory) / "plain.safetensors"
        with WeightsWriter(plain, WeightStorage.PLAIN) as writer:
            for name in file.tensors:
                writer.add(name, file.read(name))
        ratio = file.path.stat().st_size / plain.stat().st_size
    note = "compressed file over plain file, headers and everything else in them included"
    return [Claim("dense_size_ratio", ratio, "", None, "lower", note)]


def _sample(file: WeightsFile, weights: float) -> Iterable[_Packed]:
    """Quantised weights from all over the file, about as many as asked for."""
    names = [name.removesuffix("_scale") for name in file.tensors if name.endswith(".weight_scale")]
    total = sum(2 * file.tensors[name].bytes for name in names)
    taken = 0.0
    seen = 0
    for name in names:
        size = 2 * file.tensors[name].bytes
        if taken <= seen * min(1.0, weights / total):
            taken += size
            scales = file.read(f"{name}_scale").view(torch.uint8)
            yield _Packed(file.read(name).numpy(), scales.numpy())
        seen += size


def _alternatives(file: WeightsFile, weights: float) -> list[Claim]:
    sizes = dict.fromkeys(_ALTERNATIVES, 0.0)
    count = 0
    for packed in _sample(file, weights):
        count += 2 * packed.codes.size
        for name, size in _ALTERNATIVES.items():
            sizes[name] += size(packed)
    note = "codes and block scales of the quantised weights, of {:.0f} M weights"
    return [
        Claim(
            f"dense_bits_{name}",
            8 * size / count,
            "bits/weight",
            None,
            "lower",
            note.format(count / 1e6),
        )
        for name, size in sizes.items()
    ]


if __name__ == "__main__":
    main()
