"""A deployed function, and the environment that Lambda would give it."""

from dataclasses import dataclass, field
from pathlib import Path

from local.environment import isolated_environment
from local.errors import FunctionNotRunnableError
from local.settings import REGION, LocalSettings

from .destinations import AsyncPolicy

__all__ = [
    "EXEC_WRAPPER",
    "MAX_CONCURRENCY",
    "FunctionSpec",
    "function_environment",
    "require_python",
]

MAX_CONCURRENCY = 10

EXEC_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"


@dataclass(frozen=True)
class FunctionSpec:
    """A deployed function, as far as running it needs."""

    name: str
    arn: str
    handler: str
    runtime: str
    package: bytes
    environment: dict[str, str]
    timeout_seconds: float
    memory_mb: int
    is_image: bool = False
    concurrency: int = MAX_CONCURRENCY
    async_policy: AsyncPolicy = field(default_factory=AsyncPolicy)

    @property
    def streams(self) -> bool:
        """Whether it brings a loop of its own, which speaks to the Runtime API and streams."""
        return EXEC_WRAPPER in self.environment


def require_python(spec: FunctionSpec) -> None:
    """Check that the local cloud can run a function.

    Raises:
        FunctionNotRunnableError: It is not in Python.
    """
    if not spec.runtime.startswith("python"):
        raise FunctionNotRunnableError(
            f"{spec.name} wants the runtime {spec.runtime}; the local cloud runs Python."
        )


def function_environment(
    settings: LocalSettings, spec: FunctionSpec, package: Path | None
) -> dict[str, str]:
    """The complete environment of a function's process.

    Args:
        settings: Ports and directories.
        spec: The function.
        package: Its extracted deployment package; None for an image.
    """
    root = {"LAMBDA_TASK_ROOT": str(package)} if package else {}
    environment = isolated_environment(
        settings, extra={**spec.environment, **root, "_HANDLER": spec.handler}
    )
    # Set after the isolation, which drops every inherited AWS_ variable.
    return environment | {
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": REGION,
        "AWS_XRAY_SDK_ENABLED": "false",
    }
