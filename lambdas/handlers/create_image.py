"""`POST /v1/images/generations`: a picture while the caller waits, for OpenAI's clients."""

from http import HTTPStatus

from lambdas import wiring
from lambdas.domain.images import ImageService
from lambdas.domain.jobs import MAX_WAIT_SECONDS
from lambdas.observability import count, logger
from lambdas.settings import CreateImageSettings
from nvfp4_ddim_contracts.images import ImagesRequest

from ._http import http_handler
from ._openai_errors import render_openai_error
from ._prefer import wait_budget
from ._proxy import ApiRequest, ApiResponse

__all__ = ["create_image", "handler"]


def create_image(request: ApiRequest, images: ImageService) -> ApiResponse:
    """200 with links or base64; 503 with the job's Location if it is not ready in time."""
    pending = images.create(request.owner, request.body(ImagesRequest), request.idempotency_key)
    count("JobsReplayed" if pending.replayed else "JobsCreated")
    logger().info("Accepted", job_id=pending.job.id, replayed=pending.replayed)
    answer = images.finish(pending, wait_budget(MAX_WAIT_SECONDS, request.seconds_left))
    headers = {"Location": request.job_path(answer.job_id)}
    if pending.replayed:
        headers["Idempotent-Replayed"] = "true"
    return ApiResponse(HTTPStatus.OK, answer, headers, omit_null=True)


handler = http_handler(create_image, CreateImageSettings, wiring.image_service, render_openai_error)
