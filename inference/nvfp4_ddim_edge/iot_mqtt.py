"""AWS IoT over MQTT with a device certificate, by AWS's own device SDK.

Source: AWS IoT Device SDK for Python v2, `awsiot.iotjobs` and `awsiot.iotshadow`.
"""

import json
import logging
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from awscrt.exceptions import AwsCrtError
from awscrt.mqtt_request_response import ClientOptions
from awsiot import ServiceStreamOptions, V2ServiceException, mqtt_connection_builder
from awsiot.iotjobs import (
    IotJobsClientV2,
    NextJobExecutionChangedSubscriptionRequest,
    RejectedErrorCode,
    StartNextPendingJobExecutionRequest,
    UpdateJobExecutionRequest,
)
from awsiot.iotshadow import IotShadowClientV2, ShadowState, UpdateNamedShadowRequest

from nvfp4_ddim_contracts.edge import SHADOW_NAME, DeviceState

from .agent_ports import Job
from .errors import JobGoneError, JobServiceError
from .shadow import reported

__all__ = ["Certificate", "MqttJobs"]

_LOGGER = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 30
_KEEP_ALIVE_SECONDS = 60
_GONE = frozenset(
    {
        RejectedErrorCode.INVALID_STATE_TRANSITION,
        RejectedErrorCode.RESOURCE_NOT_FOUND,
        RejectedErrorCode.TERMINAL_STATE_REACHED,
    }
)


@dataclass(frozen=True)
class Certificate:
    """What a device is known by: files in PEM."""

    certificate: Path
    private_key: Path
    authority: Path | None = None


@dataclass
class MqttJobs:
    """Implements `JobService`.

    Attributes:
        thing_name: The device, and its MQTT client id.
        jobs: The SDK's client of jobs.
        shadows: The SDK's client of shadows.
        connection: Connected before the first request, and again by the SDK when it breaks.
    """

    thing_name: str
    jobs: Any
    shadows: Any
    connection: Any
    _news: threading.Event = field(default_factory=threading.Event)
    _connected: bool = False
    _stream: Any = None

    @classmethod
    def over(cls, endpoint: str, thing_name: str, certificate: Certificate) -> Self:
        """Prepare a connection; it is made when it is first needed.

        Args:
            endpoint: Host name of the account's data endpoint (`iot:Data-ATS`).
            thing_name: The device.
            certificate: The device's.

        Raises:
            JobServiceError: The certificate can't be used.
        """
        authority = certificate.authority
        try:
            connection = mqtt_connection_builder.mtls_from_path(
                str(certificate.certificate),
                str(certificate.private_key),
                endpoint=endpoint,
                client_id=thing_name,
                ca_filepath=str(authority) if authority else None,
                clean_session=True,
                keep_alive_secs=_KEEP_ALIVE_SECONDS,
            )
            options = ClientOptions(
                max_request_response_subscriptions=4,
                max_streaming_subscriptions=2,
                operation_timeout_in_seconds=_TIMEOUT_SECONDS,
            )
            return cls(
                thing_name,
                IotJobsClientV2(connection, options),
                IotShadowClientV2(connection, options),
                connection,
            )
        except (AwsCrtError, OSError, ValueError) as error:
            raise JobServiceError(
                f"The device certificate {certificate.certificate} can't be used: {error}"
            ) from error

    def next_job(self) -> Job | None:
        """The job in progress, or the next one."""
        self._listen()
        request = StartNextPendingJobExecutionRequest(thing_name=self.thing_name)
        execution = self._ask(self.jobs.start_next_pending_job_execution, request).execution
        if execution is None or execution.job_id is None:
            return None
        return Job(execution.job_id, json.dumps(execution.job_document))

    def update(self, job_id: str, status: str, details: dict[str, str]) -> None:
        """Report on a job."""
        request = UpdateJobExecutionRequest(
            thing_name=self.thing_name, job_id=job_id, status=status, status_details=details
        )
        self._ask(self.jobs.update_job_execution, request)

    def report(self, state: DeviceState) -> None:
        """Put the device's state into its shadow."""
        request = UpdateNamedShadowRequest(
            thing_name=self.thing_name,
            shadow_name=SHADOW_NAME,
            state=ShadowState(reported=reported(state)),
        )
        self._ask(self.shadows.update_named_shadow, request)

    def wait(self, seconds: float) -> None:
        """Return when the service tells of another job, at the latest after so many seconds."""
        self._news.wait(seconds)
        self._news.clear()

    def _listen(self) -> None:
        """Be told of jobs from now on."""
        if self._stream is None:
            stream = self.jobs.create_next_job_execution_changed_stream(
                NextJobExecutionChangedSubscriptionRequest(thing_name=self.thing_name),
                ServiceStreamOptions(incoming_event_listener=lambda _event: self._news.set()),
            )
            stream.open()
            self._stream = stream

    def _ask(self, operation: Any, request: Any) -> Any:
        try:
            if not self._connected:
                self.connection.connect().result(_TIMEOUT_SECONDS)
                self._connected = True
            return operation(request).result(_TIMEOUT_SECONDS + 5)
        except V2ServiceException as error:
            refusal = error.modeled_error
            if refusal is None:
                raise JobServiceError(f"{error.message}: {error.inner_error}") from error
            if getattr(refusal, "code", None) in _GONE:
                raise JobGoneError(f"{refusal.code}: {refusal.message}") from error
            raise JobServiceError(f"{refusal.code}: {refusal.message}") from error
        except (AwsCrtError, FutureTimeoutError) as error:
            raise JobServiceError(f"no connection to AWS IoT: {error!r}") from error
