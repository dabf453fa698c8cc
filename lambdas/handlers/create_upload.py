"""`POST /v1/uploads`: a signed form for one file."""

from http import HTTPStatus

from lambdas import wiring
from lambdas.domain.uploads import UploadIssuer
from lambdas.settings import CreateUploadSettings
from nvfp4_ddim_contracts import UploadRequest

from ._http import http_handler
from ._proxy import ApiRequest, ApiResponse

__all__ = ["create_upload", "handler"]


def create_upload(request: ApiRequest, service: UploadIssuer) -> ApiResponse:
    """201 with the form."""
    upload = service.issue(request.owner, request.body(UploadRequest))
    return ApiResponse(HTTPStatus.CREATED, upload)


handler = http_handler(create_upload, CreateUploadSettings, wiring.upload_issuer)
