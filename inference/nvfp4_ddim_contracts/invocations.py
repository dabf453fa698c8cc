"""The body of `POST /invocations`: a request of any task, and where its uploaded files lie.

Callers name uploads by id. Who dispatches a job knows whose it is and hands over the key of each,
so that a container never looks for a file by itself.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field, RootModel, StringConstraints, create_model

from ._base import Contract
from .generation import GenerationRequest
from .keys import UPLOAD_ID_PATTERN, UPLOADS_PREFIX
from .requests import AnyRequest, ByTask, request_in, request_type
from .tasks import TaskRequest

__all__ = ["InvocationRequest", "UploadId", "UploadKeys"]

UploadId = Annotated[str, StringConstraints(pattern=f"^{UPLOAD_ID_PATTERN}$")]
UploadKey = Annotated[
    str,
    StringConstraints(pattern=rf"^{re.escape(UPLOADS_PREFIX)}[^/]+/{UPLOAD_ID_PATTERN}$"),
]
UploadKeys = dict[UploadId, UploadKey]


class _Keys(Contract):
    upload_keys: UploadKeys = Field(
        default_factory=dict, max_length=16, description="Keys of uploads, by their ids."
    )


@cache
def _with_keys(request: type[Contract]) -> type[Contract]:
    if request is GenerationRequest:
        return request
    name = f"{request.__name__.removesuffix('Request')}Invocation"
    return create_model(name, __base__=(_Keys, request), __doc__=request.__doc__)


if TYPE_CHECKING:
    _AnyInvocation: TypeAlias = GenerationRequest | TaskRequest
else:
    _AnyInvocation = Annotated[Any, ByTask(lambda task: _with_keys(request_type(task)))]


class InvocationRequest(RootModel[_AnyInvocation]):
    """What a container is sent. Without `task` it asks for a picture."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def of(cls, request: AnyRequest, upload_keys: UploadKeys) -> bytes:
        """The body for a request, with the keys of its uploads."""
        if isinstance(request, GenerationRequest):
            return request.model_dump_json().encode()
        body = {**request.model_dump(mode="json"), "upload_keys": upload_keys}
        return cls.model_validate(body).model_dump_json().encode()

    @property
    def request(self) -> AnyRequest:
        """The request alone."""
        return request_in(self.root)

    @property
    def upload_keys(self) -> UploadKeys:
        """Where the uploads lie that the request names."""
        keys: UploadKeys = getattr(self.root, "upload_keys", {})
        return keys
