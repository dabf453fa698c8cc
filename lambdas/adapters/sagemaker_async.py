"""Asynchronous inference by SageMaker."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nvfp4_ddim_contracts.keys import job_attributes
from nvfp4_ddim_contracts.lanes import ASYNC_INVOCATION_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

__all__ = ["SageMakerAsync"]

_JSON = "application/json"


@dataclass(frozen=True)
class SageMakerAsync:
    """Implements `InferenceQueue` on one asynchronous endpoint."""

    client: "SageMakerRuntimeClient"
    endpoint_name: str

    def submit(self, job_id: str, input_uri: str) -> None:
        """Ask for the inference of the request that lies at `input_uri`."""
        self.client.invoke_endpoint_async(
            EndpointName=self.endpoint_name,
            InferenceId=job_id,
            InputLocation=input_uri,
            CustomAttributes=job_attributes(job_id),
            ContentType=_JSON,
            Accept=_JSON,
            InvocationTimeoutSeconds=ASYNC_INVOCATION_SECONDS,
        )
