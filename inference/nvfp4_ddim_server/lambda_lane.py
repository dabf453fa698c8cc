"""The same server as a Lambda function: an event names a request in S3, the answer goes back there.

The image runs this where Lambda's runtime API is in the environment. What raises here, runs out of
time or out of memory is reported by the function's on-failure destination.
"""

import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette

from nvfp4_ddim_contracts.keys import job_attributes
from nvfp4_ddim_contracts.lanes import InferenceTask
from nvfp4_ddim_optimizer.process import tune_process

from .app import create_app
from .errors import SettingsError, StartError
from .in_process import InProcessServer
from .invocation import CUSTOM_ATTRIBUTES
from .logs import configure_logging
from .ports import TaskBoard
from .settings import ServerSettings

__all__ = ["RUNTIME_API", "LambdaLane", "handler", "run"]

RUNTIME_API = "AWS_LAMBDA_RUNTIME_API"
_HANDLER = f"{__name__}.handler"

logger = logging.getLogger(__name__)


class _TaskSettings(BaseModel):
    """What the function needs beside the server's own settings."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    success_topic_arn: str = Field(alias="SUCCESS_TOPIC_ARN", min_length=1)
    error_topic_arn: str = Field(alias="ERROR_TOPIC_ARN", min_length=1)
    job_table_name: str | None = Field(None, alias="JOB_TABLE_NAME")
    function_name: str = Field("lambda", alias="AWS_LAMBDA_FUNCTION_NAME")


class LambdaLane:
    """Carries out tasks, one at a time."""

    def __init__(self, app: Starlette, board: TaskBoard) -> None:
        """Put the parts together; the model loads with the first task."""
        self._server = InProcessServer(app)
        self._board = board

    def carry_out(self, task: InferenceTask) -> int | None:
        """Read a request, make the pictures, write them back and say so.

        Tasks wait in Lambda's own queue, so that one may arrive after the service was stopped.

        Returns:
            The server's HTTP status; None if the service is stopped, and the job waits.

        Raises:
            StartError: The model can't be loaded.
        """
        if self._board.is_stopped():
            self._board.hold(task)
            logger.info("task held", extra={"fields": {"job_id": task.job_id}})
            return None
        first = not self._server.is_started
        status, answer = self._server.post(
            "/invocations",
            self._board.read(task),
            {
                "content-type": "application/json",
                "accept": "application/json",
                CUSTOM_ATTRIBUTES: job_attributes(task.job_id),
            },
        )
        self._board.answer(task, status, answer)
        logger.info(
            "task done", extra={"fields": {"job_id": task.job_id, "status": status, "first": first}}
        )
        return status

    def close(self) -> None:
        """Stop the server."""
        self._server.close()


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int | None]:
    """Lambda's entry point: one `InferenceTask`."""
    del context
    task = InferenceTask.model_validate(event)
    try:
        return {"status": _lane().carry_out(task)}
    except StartError:
        _lane.cache_clear()  # a server that is broken stays so: the next task starts another
        raise


def run(runtime_api: str) -> None:
    """Serve Lambda's runtime API until the process is ended.

    Args:
        runtime_api: Its host and port.
    """
    from awslambdaric import bootstrap
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

    bootstrap.run(_HANDLER, LambdaRuntimeClient(runtime_api))


@cache
def _lane() -> LambdaLane:
    """Built by the first invocation: a function has 10 s to start, and all its time to answer."""
    from .aws_tasks import AwsTasks

    settings = ServerSettings.from_environment()
    try:
        tasks = _TaskSettings.model_validate(os.environ)
    except ValidationError as error:
        raise SettingsError(str(error)) from error
    tune_process()
    configure_logging(settings.log_level)
    app = create_app(settings)
    board = AwsTasks.connect(
        tasks.job_table_name,
        tasks.success_topic_arn,
        tasks.error_topic_arn,
        tasks.function_name,
    )
    return LambdaLane(app, board)
