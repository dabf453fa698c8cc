"""Quantising a tiny model to an artifact, with the arguments that most tests do not care about."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nvfp4_ddim_contracts import Manifest, Quantization, RateDistortion
from nvfp4_ddim_optimizer.sources import locate_full_precision
from nvfp4_ddim_optimizer.streaming import ArtifactDetails, quantize_to_artifact

CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def quantized() -> Callable[..., Manifest]:
    """`quantized(model, out, quantization=..., budget=..., progress=...)`."""

    def call(
        model: Path,
        out: Path,
        quantization: Quantization | None = None,
        **options: Any,
    ) -> Manifest:
        details = ArtifactDetails("tiny", "nobody/tiny", "Apache-2.0", created_at=CREATED_AT)
        return quantize_to_artifact(
            locate_full_precision(model),
            out,
            quantization or RateDistortion(rate_weight=0.007),
            details,
            **options,
        )

    return call


@pytest.fixture
def files() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a directory."""

    def read(directory: Path) -> dict[str, bytes]:
        return {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }

    return read
