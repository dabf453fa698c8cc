"""Step of a quantisation that makes a staged release of what the job left.

Cut off by its time, it raises `UnfinishedError`; called again, it goes on with the next file.
"""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import quantization_wiring as wiring
from lambdas.domain.errors import UnfinishedError
from lambdas.domain.quantizations.records import PreparedModel
from lambdas.observability import count, logger, observed
from lambdas.settings import PublishQuantizationSettings

__all__ = ["handler"]

_RESERVE_MILLISECONDS = 60_000


@cache
def _settings() -> PublishQuantizationSettings:
    return PublishQuantizationSettings.from_environment(os.environ)


def _entry(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish, and say what is there now."""

    def check_time() -> None:
        if context.get_remaining_time_in_millis() < _RESERVE_MILLISECONDS:
            raise UnfinishedError("Not all files are published yet.")

    prepared = PreparedModel.model_validate(event)
    published = wiring.model_stager(_settings(), check_time).stage(prepared)
    logger().info(
        "Published", model=prepared.name, state=published.state, sha256=published.artifact_sha256
    )
    count(f"Quantizations{published.state.title().replace('-', '')}")
    return published.model_dump(mode="json")


handler = observed(_entry)
