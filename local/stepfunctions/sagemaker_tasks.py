"""Step Functions' integration with SageMaker: start a job and wait for its end.

Source: AWS Step Functions developer guide, "Create and manage Amazon SageMaker AI jobs with Step
Functions".
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import (
    ResourceCondition,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local.clients import local_client

__all__ = ["SAGEMAKER_TASKS", "install_sagemaker_tasks"]

SAGEMAKER_TASKS = frozenset({":states:::sagemaker:createProcessingJob.sync"})
_SERVICE = "sagemaker"


def install_sagemaker_tasks(aws_url: str) -> None:
    """Let moto's interpreter run these tasks, which it knows to be unsupported."""
    of_moto = state_task_factory.state_task_service_for

    def service_for(service_name: str) -> Any:
        if service_name == _SERVICE:
            return _SageMakerTask(local_client(_SERVICE, aws_url))
        return of_moto(service_name)

    state_task_factory.state_task_service_for = service_for


class _SageMakerTask(StateTaskServiceCallback):  # type: ignore[misc]
    def __init__(self, client: Any) -> None:
        # The first is never asked for here; without it moto forgets what it has to tidy up.
        super().__init__({ResourceCondition.WaitForTaskToken, ResourceCondition.Sync})
        self._client = client

    def _get_supported_parameters(self) -> set[str]:
        shape = self._client.meta.service_model.operation_model("CreateProcessingJob").input_shape
        return set(shape.members)

    def _eval_service_task(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> None:
        del resource_runtime_part, state_credentials
        answer = self._client.create_processing_job(**normalised_parameters)
        env.stack.append({"ProcessingJobArn": answer["ProcessingJobArn"]})

    def _build_sync_resolver(
        self,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> Callable[[], Any]:
        del resource_runtime_part, state_credentials
        env.stack.pop()
        name = normalised_parameters["ProcessingJobName"]

        def resolve() -> Any:
            job = self._client.describe_processing_job(ProcessingJobName=name)
            job.pop("ResponseMetadata", None)
            job = json.loads(json.dumps(job, default=_milliseconds))
            status = job["ProcessingJobStatus"]
            if status in {"InProgress", "Stopping"}:
                return None
            if status != "Completed":
                error = StatesErrorNameType.StatesTaskFailed
                raise self._failure(env, StatesErrorName(typ=error), error.to_name(), job)
            return job

        return resolve

    def _from_error(self, env: Any, ex: Exception) -> Any:
        if isinstance(ex, ClientError):
            name = "SageMaker.AmazonSageMakerException"
            cause = ex.response["Error"]["Message"]
            return self._failure(env, CustomErrorName(name), name, cause).failure_event
        return super()._from_error(env=env, ex=ex)

    def _failure(self, env: Any, error_name: Any, error: str, cause: Any) -> Any:
        return FailureEventException(
            FailureEvent(
                env=env,
                error_name=error_name,
                event_type=HistoryEventType.TaskFailed,
                event_details=EventDetails(
                    taskFailedEventDetails=TaskFailedEventDetails(
                        resource=self._get_sfn_resource(),
                        resourceType=self._get_sfn_resource_type(),
                        error=error,
                        cause=cause if isinstance(cause, str) else json.dumps(cause),
                    )
                ),
            )
        )


def _milliseconds(moment: datetime) -> int:
    """As Step Functions writes dates of this integration."""
    return int(moment.timestamp() * 1000)
