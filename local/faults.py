"""Faults on purpose: what a busy account does to a service now and then.

While the file `faults.json` of the state directory holds a `FaultPlan`, the local cloud refuses a
share of the calls to its AWS API as AWS would, delivers a share of events twice, and holds a share
of notifications back, so that later ones overtake them. What the local cloud itself calls is
spared: it stands for the inside of AWS.
"""

import json
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .settings import LocalSettings

__all__ = [
    "INTERNAL_USER_AGENT",
    "FaultInjector",
    "FaultPlan",
    "refuse_calls",
    "set_faults",
]

INTERNAL_USER_AGENT = "nvfp4-local-cloud"
"""Marks calls that the local cloud makes to itself."""

_FILE = "faults.json"
_Call = Literal["table", "write", "inference"]
_Answer = tuple[str, dict[str, str], bytes]
_Share = Field(0.0, ge=0, le=0.9)


class FaultPlan(BaseModel):
    """Which share of things goes wrong, 0 for none.

    Attributes:
        throttled_table: Calls to DynamoDB that answer `ProvisionedThroughputExceededException`.
        failing_writes: S3 `PutObject` calls that answer 503 `SlowDown`.
        throttled_inference: `InvokeEndpointAsync` calls that answer `ThrottlingException`.
        duplicated_events: Events that are delivered twice.
        delayed_notifications: Notifications of inference that come late.
        longest_delay_seconds: How late at most.
        seed: Of the choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    throttled_table: float = _Share
    failing_writes: float = _Share
    throttled_inference: float = _Share
    duplicated_events: float = _Share
    delayed_notifications: float = _Share
    longest_delay_seconds: float = Field(2.0, gt=0, le=60)
    seed: int = 0


def set_faults(settings: LocalSettings, plan: FaultPlan | None) -> None:
    """Let the running cloud follow a plan from now on; None ends it."""
    path = settings.state_directory / _FILE
    if plan is None:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_suffix(".new")
    temporary.write_text(plan.model_dump_json())
    temporary.replace(path)


class FaultInjector:
    """Decides what goes wrong, and counts it."""

    def __init__(self, settings: LocalSettings) -> None:
        self._path = settings.state_directory / _FILE
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._plan = FaultPlan()
        self._random = random.Random()  # noqa: S311 - no secret

    def refuses(self, call: _Call) -> bool:
        """Whether this call is to be refused."""
        plan = self._current()
        share = {
            "table": plan.throttled_table,
            "write": plan.failing_writes,
            "inference": plan.throttled_inference,
        }[call]
        return self._happens(share)

    def copies(self) -> int:
        """How often this event is to be delivered."""
        return 2 if self._happens(self._current().duplicated_events) else 1

    def delay_seconds(self) -> float:
        """How long this notification is to be held back."""
        plan = self._current()
        if not self._happens(plan.delayed_notifications):
            return 0.0
        with self._lock:
            return self._random.uniform(0, plan.longest_delay_seconds)

    def _happens(self, share: float) -> bool:
        if share == 0:
            return False
        with self._lock:
            return self._random.random() < share

    def _current(self) -> FaultPlan:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return FaultPlan()
        with self._lock:
            read_at = (status.st_mtime_ns, status.st_ino)
            if read_at != self._read_at:
                try:
                    self._plan = FaultPlan.model_validate_json(self._path.read_text())
                except (FileNotFoundError, ValidationError):
                    # Removed meanwhile, or not ours.
                    return FaultPlan()
                self._read_at = read_at
                self._random.seed(self._plan.seed)
            return self._plan


def refuse_calls(application: Callable[..., Any], faults: FaultInjector) -> Callable[..., Any]:
    """Put the injector before the AWS API, a WSGI application."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = _refusal(environ, faults)
        if answer is None:
            answered: Iterable[bytes] = application(environ, start_response)
            return answered
        # The connection stays open: what is not read would be taken for the next request.
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, headers, body = answer
        start_response(status, [*headers.items(), ("Content-Length", str(len(body)))])
        return [body]

    return serve


def _refusal(environ: dict[str, Any], faults: FaultInjector) -> _Answer | None:
    if INTERNAL_USER_AGENT in environ.get("HTTP_USER_AGENT", ""):
        return None
    call = _call(environ)
    return _REFUSALS[call] if call is not None and faults.refuses(call) else None


def _call(environ: dict[str, Any]) -> _Call | None:
    if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
        return "table"
    if environ.get("PATH_INFO", "").endswith("/async-invocations"):
        return "inference"
    signed_for = environ.get("HTTP_AUTHORIZATION", "")
    if environ["REQUEST_METHOD"] == "PUT" and "/s3/aws4_request" in signed_for:
        return "write"
    return None


def _json_error(status: str, kind: str) -> _Answer:
    headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-errortype": kind}
    body = json.dumps({"__type": kind, "message": "Rate exceeded"}).encode()
    return status, headers, body


_REFUSALS: dict[_Call, _Answer] = {
    "table": _json_error(
        "400 Bad Request",
        "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    ),
    "inference": _json_error("429 Too Many Requests", "ThrottlingException"),
    "write": (
        "503 Slow Down",
        {"Content-Type": "application/xml"},
        b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>",
    ),
}
