"""Starts and stops a poller for every event source mapping that is deployed."""

import json
import threading
from typing import Any

from moto.awslambda.models import LambdaBackend, lambda_backends
from moto.dynamodb.models import dynamodb_backends
from moto.sqs.models import sqs_backends

from local.faults import FaultInjector
from local.lambda_runtime import MotoFunctions
from local.settings import ACCOUNT_ID, REGION

from .mapping import Mapping
from .move_tasks import install_move_tasks
from .queues import QueuePoller
from .rules import RuleTargets
from .schedules import Scheduler
from .streams import StreamPoller

__all__ = ["EventDispatcher"]

_RECONCILE_SECONDS = 0.25


def _key(configuration: dict[str, Any]) -> str:
    return json.dumps(configuration, sort_keys=True, default=str)


class EventDispatcher:
    """Follows the deployed mappings, and runs rules and schedules."""

    def __init__(self, functions: MotoFunctions, aws_url: str, faults: FaultInjector) -> None:
        self._functions = functions
        self._faults = faults
        self._aws_url = aws_url
        self._pollers: dict[str, QueuePoller | StreamPoller] = {}
        self._targets = RuleTargets(functions.invoke_asynchronously, aws_url)
        self._stopping = threading.Event()
        self._scheduler: Scheduler | None = None

    def install(self) -> None:
        """Keep moto from delivering inside the writer's request; add what its SQS lacks."""
        install_move_tasks()
        self._targets.install()
        create = LambdaBackend.create_event_source_mapping

        def create_without_inline_delivery(backend: Any, spec: Any) -> Any:
            mapping = create(backend, spec)
            for source in (
                *sqs_backends[ACCOUNT_ID][REGION].queues.values(),
                *dynamodb_backends[ACCOUNT_ID][REGION].tables.values(),
            ):
                source.lambda_event_source_mappings.clear()
            return mapping

        LambdaBackend.create_event_source_mapping = create_without_inline_delivery

    def start(self) -> None:
        """Begin to deliver."""
        self._scheduler = Scheduler(self._targets.deliver)
        threading.Thread(target=self._run, daemon=True, name="event-dispatcher").start()

    def stop(self) -> None:
        """Stop every poller."""
        self._stopping.set()
        if self._scheduler is not None:
            self._scheduler.stop()
        for poller in self._pollers.values():
            poller.stop()

    def _invoke(self, function: str, event: dict[str, Any]) -> tuple[Any, bool]:
        """Call a function, twice where the event is to come twice; the last answer counts."""
        for _ in range(self._faults.copies() - 1):
            self._functions.invoke(function, event)
        return self._functions.invoke(function, event)

    def _run(self) -> None:
        while not self._stopping.wait(_RECONCILE_SECONDS):
            self._reconcile()

    def _reconcile(self) -> None:
        backend = lambda_backends[ACCOUNT_ID][REGION]
        # Mappings are compared by value, so that a changed one gets a new poller.
        wanted = {
            _key(each.get_configuration()): each.get_configuration()
            for each in list(backend._event_source_mappings.values())
            if str(each.enabled).lower() == "true"
        }
        for key in [key for key in self._pollers if key not in wanted]:
            self._pollers.pop(key).stop()
        for key, configuration in wanted.items():
            if key not in self._pollers:
                mapping = Mapping.from_configuration(configuration)
                poller = StreamPoller if ":dynamodb:" in mapping.source_arn else QueuePoller
                self._pollers[key] = poller(mapping, self._invoke, self._aws_url)
