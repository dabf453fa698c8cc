"""AWS IoT over HTTPS: for devices that have AWS credentials, and for the local cloud.

A device with nothing but its certificate speaks MQTT; see `iot_mqtt`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from nvfp4_ddim_contracts.edge import SHADOW_NAME, DeviceState

from .agent_ports import Job
from .errors import JobGoneError, JobServiceError
from .shadow import shadow_payload

__all__ = ["HttpsJobs"]

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=10, read_timeout=30
)
_GONE = frozenset(
    {
        "InvalidStateTransitionException",
        "ResourceNotFoundException",
        "TerminalStateException",
    }
)


@dataclass(frozen=True)
class HttpsJobs:
    """Implements `JobService`.

    Attributes:
        thing_name: The device.
        jobs: boto3's client of `iot-jobs-data`.
        data: boto3's client of `iot-data`.
        sleep: Waits.
    """

    thing_name: str
    jobs: Any
    data: Any
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def connect(cls, thing_name: str) -> Self:
        """Find the account's endpoints; credentials and region come from the environment."""
        try:
            iot = boto3.client("iot", config=_CONFIG)

            def endpoint(kind: str) -> str | None:
                # One address for all services, as the local cloud has, needs no other.
                if iot.meta.endpoint_url.startswith("http://"):
                    return str(iot.meta.endpoint_url)
                found: str = iot.describe_endpoint(endpointType=kind)["endpointAddress"]
                return f"https://{found}"

            return cls(
                thing_name,
                boto3.client("iot-jobs-data", config=_CONFIG, endpoint_url=endpoint("iot:Jobs")),
                boto3.client("iot-data", config=_CONFIG, endpoint_url=endpoint("iot:Data-ATS")),
            )
        except (BotoCoreError, ClientError) as error:
            raise JobServiceError(
                f"AWS IoT can't be reached: {error}. Set AWS_REGION and credentials, or use MQTT"
            ) from error

    def next_job(self) -> Job | None:
        """The job in progress, or the next one."""
        answer = self._call(self.jobs.start_next_pending_job_execution, thingName=self.thing_name)
        execution = answer.get("execution")
        return Job(execution["jobId"], execution["jobDocument"]) if execution else None

    def update(self, job_id: str, status: str, details: dict[str, str]) -> None:
        """Report on a job."""
        self._call(
            self.jobs.update_job_execution,
            thingName=self.thing_name,
            jobId=job_id,
            status=status,
            statusDetails=details,
        )

    def report(self, state: DeviceState) -> None:
        """Put the device's state into its shadow."""
        try:
            self._call(
                self.data.update_thing_shadow,
                thingName=self.thing_name,
                shadowName=SHADOW_NAME,
                payload=shadow_payload(state),
            )
        except JobGoneError as error:
            raise JobServiceError(f"There is no thing {self.thing_name}: {error}") from error

    def wait(self, seconds: float) -> None:
        """Return after so many seconds: HTTPS has no way to be told earlier."""
        self.sleep(seconds)

    def _call(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return operation(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                raise JobGoneError(str(error)) from error
            raise JobServiceError(str(error)) from error
        except BotoCoreError as error:
            raise JobServiceError(str(error)) from error
