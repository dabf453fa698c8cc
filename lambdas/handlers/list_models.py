"""`GET /v1/models`: the models being served, in the shape of OpenAI's API."""

from http import HTTPStatus

from lambdas import wiring
from lambdas.domain.catalogue import ModelService
from lambdas.settings import ListModelsSettings

from ._http import http_handler
from ._proxy import ApiRequest, ApiResponse

__all__ = ["handler", "list_models"]


def list_models(_request: ApiRequest, models: ModelService) -> ApiResponse:
    """200 with all models."""
    return ApiResponse(HTTPStatus.OK, models.list_models())


handler = http_handler(list_models, ListModelsSettings, wiring.model_service)
