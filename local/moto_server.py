"""moto server on loopback, made safe and quick for the threads that use it at once."""

import os
from functools import cache, lru_cache
from typing import Any

from moto.core import errors, responses
from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)

from .dynamodb import improve_dynamodb
from .faults import FaultInjector, refuse_calls
from .iot import TemplateRegistry, with_iot
from .iot.job_executions import JobExecutions
from .s3_forms import enforce_form_policies
from .settings import LocalSettings
from .supervisor.http_servers import LoopbackServer

__all__ = ["create_moto_server"]


class _QuietMotoHandler(MotoRequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if str(code).startswith("5"):
            super().log_request(code, size)


class _Dispatcher(DomainDispatcherApplication):  # type: ignore[misc]
    """Finds a host's service once: moto lists its own directory for each request, under a lock."""

    def __init__(self, create_app: Any) -> None:
        super().__init__(create_app)
        self.get_backend_for_host = lru_cache(maxsize=1024)(super().get_backend_for_host)


def _remember() -> None:
    """Keep what moto works out anew each time: a service's operations, errors and backend."""
    responses.method_names_from_class = cache(responses.method_names_from_class)
    # It keeps the errors of each service; moto makes a new one for each error.
    errors.ErrorLookupFactory = cache(errors.ErrorLookupFactory)
    find = BackendDict.__getitem__

    def found(backends: Any, account_id: str) -> Any:
        known = dict.get(backends, account_id)
        return find(backends, account_id) if known is None else known

    BackendDict.__getitem__ = found


def create_moto_server(
    settings: LocalSettings,
    faults: FaultInjector,
    executions: JobExecutions,
    templates: TemplateRegistry,
) -> LoopbackServer:
    """The AWS API of the local cloud, not started yet."""
    os.environ["MOTO_PORT"] = str(settings.aws_port)
    _remember()
    improve_dynamodb()
    moto = enforce_form_policies(_Dispatcher(create_backend_app))
    application = with_iot(refuse_calls(moto, faults), executions, templates)
    return LoopbackServer("aws-api", settings.aws_port, application, _QuietMotoHandler)
