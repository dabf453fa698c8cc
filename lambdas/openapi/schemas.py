"""JSON Schemas of the contracts, as components of the document."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from lambdas.handlers._openai_errors import OpenAIErrorBody
from nvfp4_ddim_contracts import Job, JobPage, Problem, Upload, UploadRequest
from nvfp4_ddim_contracts.images import ImagesRequest, ImagesResponse
from nvfp4_ddim_contracts.models import ModelList
from nvfp4_ddim_contracts.task_list import TaskList
from nvfp4_ddim_contracts.webhooks import JobEvent, JobRequest, WebhookSecret

__all__ = ["component_schemas", "reference"]

_PREFIX = "#/components/schemas/"
# What a caller sends is described as it is validated, what they get as it is written.
_MODELS: tuple[tuple[type[BaseModel], JsonSchemaMode], ...] = (
    (ImagesRequest, "validation"),
    (ImagesResponse, "validation"),
    (Job, "validation"),
    (JobEvent, "validation"),
    (JobPage, "validation"),
    (JobRequest, "validation"),
    (ModelList, "validation"),
    (OpenAIErrorBody, "validation"),
    (Problem, "validation"),
    (TaskList, "validation"),
    (Upload, "validation"),
    (UploadRequest, "validation"),
    (WebhookSecret, "validation"),
)


def component_schemas() -> dict[str, Any]:
    """All schemas by name, sorted."""
    _, definitions = models_json_schema(_MODELS, ref_template=_PREFIX + "{model}")
    schemas: dict[str, Any] = definitions["$defs"]
    return dict(sorted(schemas.items()))


def reference(model: type[BaseModel]) -> dict[str, str]:
    """A reference to a model's schema."""
    return {"$ref": f"{_PREFIX}{model.__name__}"}
