"""The MQTT adapter against fakes of the SDK's clients, which check requests as the SDK does."""

import json
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("awsiot", reason="needs the extra iot")

from awsiot import V2ServiceException
from awsiot.iotjobs import StartNextJobExecutionResponse, V2ErrorResponse

from nvfp4_ddim_contracts.edge import DeviceState
from nvfp4_ddim_edge.errors import JobGoneError, JobServiceError
from nvfp4_ddim_edge.iot_mqtt import MqttJobs


def done(value: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class Sdk:
    """Jobs, shadows and connection in one."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answer: Any = None
        self.connects = 0
        self.listener: Any = None

    def connect(self) -> "Future[Any]":
        self.connects += 1
        return done({})

    def create_next_job_execution_changed_stream(self, request: Any, options: Any) -> Any:
        request._validate()
        options._validate()
        self.listener = options.incoming_event_listener
        return SimpleNamespace(open=lambda: None)

    def _take(self, request: Any) -> "Future[Any]":
        request._validate()
        self.requests.append(request)
        return done(self.answer)

    start_next_pending_job_execution = update_job_execution = update_named_shadow = _take


@pytest.fixture
def sdk() -> Sdk:
    return Sdk()


@pytest.fixture
def service(sdk: Sdk) -> MqttJobs:
    return MqttJobs("thing", sdk, sdk, sdk)


def test_a_job_is_taken_with_its_document(sdk: Sdk, service: MqttJobs) -> None:
    sdk.answer = StartNextJobExecutionResponse.from_payload(
        {"execution": {"jobId": "one", "jobDocument": {"operation": "install"}}}
    )
    job = service.next_job()
    assert job is not None
    assert (job.job_id, json.loads(job.document)) == ("one", {"operation": "install"})
    sdk.answer = StartNextJobExecutionResponse.from_payload({"execution": {}})
    assert service.next_job() is None
    assert sdk.connects == 1


def test_reports_carry_what_the_service_asks_for(sdk: Sdk, service: MqttJobs) -> None:
    service.update("one", "FAILED", {"reason": "3 dB"})
    payload = sdk.requests[-1].to_payload()
    assert (payload["status"], payload["statusDetails"]) == ("FAILED", {"reason": "3 dB"})
    state = DeviceState(
        agent_version="1",
        name="m",
        artifact_sha256="a" * 64,
        previous_sha256=None,
        execution_path="cpu",
        free_bytes=1,
        last_failure=None,
    )
    service.report(state)
    assert sdk.requests[-1].shadow_name == "nvfp4-ddim"
    shown = sdk.requests[-1].to_payload()["state"]["reported"]
    assert (shown["artifact_sha256"], shown["previous_sha256"]) == ("a" * 64, None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("InvalidStateTransition", JobGoneError),
        ("ResourceNotFound", JobGoneError),
        ("RequestThrottled", JobServiceError),
        (None, JobServiceError),
    ],
)
def test_refusals_are_told_apart(
    sdk: Sdk, service: MqttJobs, code: str | None, expected: type[Exception]
) -> None:
    modeled = V2ErrorResponse(code=code, message="no") if code else None
    sdk.answer = V2ServiceException("update failure", RuntimeError("timeout"), modeled)
    with pytest.raises(expected):
        service.update("one", "SUCCEEDED", {})


def test_news_of_a_job_end_the_wait(sdk: Sdk, service: MqttJobs) -> None:
    sdk.answer = StartNextJobExecutionResponse()
    service.next_job()
    sdk.listener(None)
    service.wait(60)
