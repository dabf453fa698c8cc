"""The inference server: SageMaker's container contract around `OptimizationPipeline`."""

from .app import create_app
from .main import serve
from .settings import ServerSettings

__all__ = ["ServerSettings", "create_app", "serve"]
