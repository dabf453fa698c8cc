"""Where the sources that get deployed lie in the repository."""

from pathlib import Path

__all__ = ["BUNDLED_MODELS", "INFERENCE_DOCKERFILE", "REPOSITORY", "WEB"]

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLED_MODELS = REPOSITORY / "inference" / "nvfp4_ddim_optimizer" / "bundled"
INFERENCE_DOCKERFILE = "inference/Dockerfile"
WEB = REPOSITORY / "web"
