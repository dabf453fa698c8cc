"""EventBridge rules: events matched against patterns, and targets that run.

Source: Amazon EventBridge user guide, "Event bus targets" and "Input transformation".
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.events.models import EventsBackend, Rule

from local.clients import local_client
from local.errors import UnsupportedResourceError

from .input_transformer import transform
from .schedules import interval_seconds

__all__ = ["RuleTargets"]

_LOGGER = logging.getLogger(__name__)
_ATTEMPTS = 3
_RETRY_SECONDS = 1.0
_SERVICES = frozenset({"lambda", "sqs", "states"})
_TARGET_FIELDS = frozenset(
    {"Arn", "DeadLetterConfig", "Id", "Input", "InputTransformer", "RetryPolicy", "RoleArn"}
)


class RuleTargets:
    """Delivers events to the targets of rules, in the background.

    A delivery that fails three times goes to the target's dead-letter queue.
    """

    def __init__(self, invoke_asynchronously: Callable[[str, Any], None], aws_url: str) -> None:
        self._invoke = invoke_asynchronously
        self._aws_url = aws_url

    def install(self) -> None:
        """Put this class in the place of moto's delivery, and refuse rules that cannot run."""
        targets = self
        put_rule, put_targets = EventsBackend.put_rule, EventsBackend.put_targets

        def send(rule: Any, event: dict[str, Any], transform_input: bool = True) -> None:
            del transform_input
            targets.send(rule, event)

        def put_checked_rule(backend: Any, name: str, **arguments: Any) -> Any:
            if arguments.get("scheduled_expression"):
                interval_seconds(arguments["scheduled_expression"])
            return put_rule(backend, name, **arguments)

        def put_checked_targets(
            backend: Any, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]
        ) -> None:
            for target in targets:
                check_target(target)
            put_targets(backend, name=name, event_bus_arn=event_bus_arn, targets=targets)

        Rule.send_to_targets = send
        EventsBackend.put_rule = put_checked_rule
        EventsBackend.put_targets = put_checked_targets

    def send(self, rule: Any, event: dict[str, Any]) -> None:
        """Deliver an event to the rule's targets, if its pattern matches."""
        # A rule with a schedule alone has no pattern, and matches nothing.
        if rule.state != "ENABLED" or not rule.event_pattern.get_pattern():
            return
        if not rule.event_pattern.matches_event(event):
            return
        for target in list(rule.targets):
            self.deliver(target, _as_sent(event))

    def deliver(self, target: dict[str, Any], event: dict[str, Any]) -> None:
        """Deliver one event to one target."""
        thread = threading.Thread(
            target=self._deliver, args=(target, event), daemon=True, name="rule-target"
        )
        thread.start()

    def _deliver(self, target: dict[str, Any], event: dict[str, Any]) -> None:
        arn = target["Arn"]
        for attempt in range(_ATTEMPTS):
            try:
                self._send(arn, _payload(target, event))
                return
            except Exception as error:
                _LOGGER.warning("%s took no event: %s", arn, error)
                reason = str(error)
            time.sleep(_RETRY_SECONDS * (attempt + 1))
        dead_letters = target.get("DeadLetterConfig", {}).get("Arn")
        if dead_letters is None:
            _LOGGER.error("An event for %s was lost: %s", arn, reason)
            return
        self._send(dead_letters, event)

    def _send(self, arn: str, payload: Any) -> None:
        service = arn.split(":")[2]
        if service == "lambda":
            self._invoke(arn, payload)
        elif service == "states":
            local_client("stepfunctions", self._aws_url).start_execution(
                stateMachineArn=arn, name=str(uuid.uuid4()), input=json.dumps(payload)
            )
        else:
            sqs = local_client("sqs", self._aws_url)
            url = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(payload))


def check_target(target: dict[str, Any]) -> None:
    """Refuse what would never be delivered.

    Raises:
        UnsupportedResourceError: The local cloud delivers to no such target.
    """
    unknown = sorted(set(target) - _TARGET_FIELDS)
    service = target["Arn"].split(":")[2]
    if unknown or service not in _SERVICES:
        what = f"with {', '.join(unknown)}" if unknown else f"in the service {service}"
        raise UnsupportedResourceError(
            f"The local cloud delivers events to no target {what}; it knows "
            f"{', '.join(sorted(_SERVICES))} (local/events/rules.py)."
        )


def _as_sent(event: dict[str, Any]) -> dict[str, Any]:
    """The event as EventBridge writes it; moto counts seconds, and keeps a field of its own."""
    sent = {name: value for name, value in event.items() if name != "ingestion-time"}
    if not isinstance(sent["time"], str):
        moment = datetime.fromtimestamp(float(sent["time"]), UTC)
        sent["time"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**sent, "id": sent.get("id") or str(uuid.uuid4())}


def _payload(target: dict[str, Any], event: dict[str, Any]) -> Any:
    if "Input" in target:
        return json.loads(target["Input"])
    if "InputTransformer" in target:
        return transform(target["InputTransformer"], event)
    return event
