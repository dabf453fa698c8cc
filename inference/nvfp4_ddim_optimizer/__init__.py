"""Diffusion models in NVFP4, sampled with DDIM: on a laptop, an ARM board, a GPU or AWS.

    from nvfp4_ddim_optimizer import OptimizationPipeline

    pipeline = OptimizationPipeline.from_preset("emoji-64", preset="balanced", device="cpu")
    image = pipeline.generate("a slice of watermelon", seed=7)

The names below are imported when they are first used, so that reading `__version__` or asking
the command line for help does not wait for torch.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvfp4_ddim_optimizer.diffusion import StepEvent
    from nvfp4_ddim_optimizer.pipeline import OptimizationPipeline
    from nvfp4_ddim_optimizer.sources import bundled_models
    from nvfp4_ddim_optimizer.tasks import LinearPreview, PromptTruncatedWarning, TinyPreview

__all__ = [
    "LinearPreview",
    "OptimizationPipeline",
    "PromptTruncatedWarning",
    "StepEvent",
    "TinyPreview",
    "__version__",
    "bundled_models",
]

try:
    __version__ = version("nvfp4-ddim-optimizer")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"

_HOMES = {
    "LinearPreview": "tasks",
    "OptimizationPipeline": "pipeline",
    "PromptTruncatedWarning": "tasks",
    "StepEvent": "diffusion",
    "TinyPreview": "tasks",
    "bundled_models": "sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
