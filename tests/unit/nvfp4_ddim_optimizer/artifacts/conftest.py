"""A saved artifact to read, and copies of it to damage."""

import copy
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nvfp4_ddim_contracts import DataFree, Manifest, ScaleSearch, WeightStorage
from nvfp4_ddim_optimizer.artifacts import save_artifact
from nvfp4_ddim_optimizer.nn import LayerPolicy, quantize_module

CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="session")
def quantised_pipeline(tiny_pipeline: Callable[..., Any]) -> Callable[[str], tuple[Any, list[Any]]]:
    """Build a tiny pipeline, quantise it: `pipeline, layers = quantised_pipeline("sd1")`."""

    built: dict[str, tuple[Any, list[Any]]] = {}

    def build(kind: str) -> tuple[Any, list[Any]]:
        if kind not in built:
            pipeline = tiny_pipeline(kind)
            layers = []
            for component in ("unet", "text_encoder"):
                layers += quantize_module(getattr(pipeline, component), component, LayerPolicy())
            built[kind] = pipeline, layers
        return copy.deepcopy(built[kind])

    return build


@pytest.fixture(scope="session")
def save() -> Callable[..., Manifest]:
    """`save_artifact` with the arguments that most tests do not care about."""

    def call(pipeline: Any, layers: list[Any], directory: Path, **options: Any) -> Manifest:
        arguments: dict[str, Any] = {
            "name": "tiny",
            "original_model": "nobody/tiny",
            "license": "Apache-2.0",
            "attribution": "nobody",
            "quantization": DataFree(scale_search=ScaleSearch.FOUR_OVER_SIX),
            "default_guidance_scale": 3.0,
            "native_height": 16,
            "native_width": 16,
            "created_at": CREATED_AT,
        }
        return save_artifact(pipeline, layers, directory, **{**arguments, **options})

    return call


@pytest.fixture(scope="session")
def saved(
    tmp_path_factory: pytest.TempPathFactory,
    quantised_pipeline: Callable[[str], tuple[Any, list[Any]]],
    save: Callable[..., Manifest],
) -> Callable[[str], Path]:
    """An artifact's directory, to read only: `saved("sd1")`."""
    directories: dict[str, Path] = {}

    def directory(kind: str) -> Path:
        if kind not in directories:
            directories[kind] = tmp_path_factory.mktemp("artifacts") / kind
            save(*quantised_pipeline(kind), directories[kind])
        return directories[kind]

    return directory


@pytest.fixture
def artifact(saved: Callable[[str], Path], tmp_path: Path) -> Path:
    """An artifact that a test may damage."""
    return Path(shutil.copytree(saved("sd1"), tmp_path / "artifact"))


@pytest.fixture
def plain_artifact(
    quantised_pipeline: Callable[[str], tuple[Any, list[Any]]],
    save: Callable[..., Manifest],
    tmp_path: Path,
) -> Path:
    """An artifact whose weights are not compressed, that a test may damage."""
    save(*quantised_pipeline("sd1"), tmp_path / "plain", storage=WeightStorage.PLAIN)
    return tmp_path / "plain"
