"""Asynchronous invocations by the dispatcher: one attempt at a real-time or serverless endpoint.

What is raised here goes to the topic of failures by the function's on-failure destination.
"""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import wiring
from lambdas.domain.calling import EndpointCaller, NotCalled
from lambdas.observability import count, logger, observed
from lambdas.settings import CallEndpointSettings
from nvfp4_ddim_contracts.lanes import InferenceTask

__all__ = ["handler"]


@cache
def _caller() -> EndpointCaller:
    return wiring.endpoint_caller(CallEndpointSettings.from_environment(os.environ))


def _entry(event: dict[str, Any], _context: LambdaContext) -> dict[str, int | str]:
    """Carry out one `InferenceTask`."""
    task = InferenceTask.model_validate(event)
    status = _caller().carry_out(task)
    logger().info("Called", job_id=task.job_id, attempt=task.attempt, status=status)
    count("JobsHeld" if status is NotCalled.HELD else "EndpointCalls")
    return {"status": status}


handler = observed(_entry)
