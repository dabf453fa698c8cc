"""Where the sources that get deployed lie in the repository."""

from pathlib import Path

__all__ = ["BUNDLED_MODELS", "INFERENCE_DOCKERFILE", "REPOSITORY", "SELF_TESTS", "WEB"]

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLED_MODELS = REPOSITORY / "inference" / "nvfp4_ddim_optimizer" / "bundled"
INFERENCE_DOCKERFILE = "inference/Dockerfile"
SELF_TESTS = REPOSITORY / "infra" / "self_tests"
WEB = REPOSITORY / "web"
