"""Endpoints that answer while one waits: real-time and serverless ones."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nvfp4_ddim_contracts.keys import job_attributes

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

__all__ = ["SageMakerCalls"]

_JSON = "application/json"
_TIMED_OUT = 504


@dataclass(frozen=True)
class SageMakerCalls:
    """Implements `InferenceEndpoint` on one endpoint."""

    client: "SageMakerRuntimeClient"
    endpoint_name: str

    def call(self, job_id: str, body: bytes) -> tuple[int, bytes]:
        """Send a request; the container's status and answer.

        SageMaker waits for 60 s; what takes longer is answered with 504 and no body.
        """
        from botocore.exceptions import ReadTimeoutError

        try:
            answer = self.client.invoke_endpoint(
                EndpointName=self.endpoint_name,
                InferenceId=job_id,
                CustomAttributes=job_attributes(job_id),
                ContentType=_JSON,
                Accept=_JSON,
                Body=body,
            )
        except ReadTimeoutError:
            return _TIMED_OUT, b""
        except self.client.exceptions.ModelError as error:
            details: Any = error.response
            return (
                int(details.get("OriginalStatusCode", 500)),
                str(details.get("OriginalMessage", "")).encode(),
            )
        return 200, answer["Body"].read()
