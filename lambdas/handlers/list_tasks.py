"""`GET /v1/tasks`: what can be asked for beside pictures, with schemas to make forms of."""

from collections.abc import Callable
from http import HTTPStatus

from lambdas import wiring
from lambdas.settings import ListTasksSettings
from nvfp4_ddim_contracts.task_list import TaskList

from ._http import http_handler
from ._proxy import ApiRequest, ApiResponse

__all__ = ["handler", "list_tasks"]


def list_tasks(_request: ApiRequest, tasks: Callable[[], TaskList]) -> ApiResponse:
    """200 with all tasks."""
    return ApiResponse(HTTPStatus.OK, tasks())


handler = http_handler(list_tasks, ListTasksSettings, wiring.task_list)
