"""One `POST /invocations`, from its headers to its answer and its line in the log."""

import asyncio
import base64
import logging
import time
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from nvfp4_ddim_contracts import (
    FieldError,
    GeneratedImage,
    GenerationRequest,
    GenerationResult,
    ImageFormat,
    Provenance,
    Timings,
)
from nvfp4_ddim_contracts.invocations import InvocationRequest
from nvfp4_ddim_contracts.keys import job_id_from_attributes
from nvfp4_ddim_contracts.requests import task_of
from nvfp4_ddim_optimizer.encoding import encode_image

from .errors import BodyTooLargeError, InvalidFieldsError, MalformedBodyError
from .negotiation import check_content_type, choose_representation
from .planning import Plan
from .problems import problem_response
from .queueing import Finished
from .service import InferenceService, PlannedRequest
from .settings import ServerSettings
from .task_answers import TaskAnswer, fact_headers, library_version, task_provenance
from .task_planning import TaskPlan

__all__ = ["Invocation"]

CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"

logger = logging.getLogger(__name__)


class Invocation:
    """Carries one request through the server."""

    def __init__(
        self, service: InferenceService, settings: ServerSettings, request: Request
    ) -> None:
        """Take on a request; `answer` deals with it."""
        self._service = service
        self._settings = settings
        self._request = request
        self._job_id = job_id_from_attributes(request.headers.get(CUSTOM_ATTRIBUTES, ""))
        self._begun = time.monotonic()
        # The prompt, or a file, is nobody's business but its author's, so neither is ever logged.
        self._fields: dict[str, Any] = {"job_id": self._job_id}

    async def answer(self) -> Response:
        """Answer with pictures, a task's output or a problem, and log one line about it."""
        try:
            response = await self._respond()
        except Exception as error:
            response = problem_response(error, self._job_id)
            self._fields["error"] = type(error).__name__
            if response.status_code == 500:
                self._fields["detail"] = str(error)
        self._fields["status"] = response.status_code
        self._fields["seconds"] = round(time.monotonic() - self._begun, 3)
        logger.info("request", extra={"fields": self._fields})
        return response

    async def _respond(self) -> Response:
        self._service.check_ready()
        check_content_type(self._request.headers.get("content-type"))
        message = await self._read()
        wishes = message.request
        self._fields["task"] = task_of(wishes)
        accept = self._request.headers.get("accept")
        if isinstance(wishes, GenerationRequest):
            is_bare, image_format = choose_representation(accept, wishes)
            async with self._service.planned(wishes) as planned:
                return await self._paint(planned, is_bare, image_format)
        async with self._service.planned(wishes, message.upload_keys) as planned:
            return await self._do(planned, accept)

    async def _do(self, planned: PlannedRequest, accept: str | None) -> Response:
        plan = planned.plan
        if not isinstance(plan, TaskPlan):
            raise TypeError("A task's request has a task's plan.")
        provenance = task_provenance(planned, plan)
        self._fields |= provenance.model_dump(mode="json", exclude={"library_version"})
        waited = time.monotonic() - self._begun
        finished = await self._service.carry_out(plan, self._job_id, self._client_gone, waited)
        answer = await asyncio.to_thread(
            TaskAnswer.of, finished, plan, provenance, self._settings.instance_type
        )
        self._fields |= {name: round(value, 3) for name, value in answer.result.timings}
        return answer.response(accept)

    async def _paint(
        self, planned: PlannedRequest, is_bare: bool, image_format: ImageFormat
    ) -> Response:
        plan = planned.plan
        if not isinstance(plan, Plan):
            raise TypeError("A request for pictures has a plan for pictures.")
        provenance = _provenance(planned, plan)
        self._fields |= provenance.model_dump(mode="json", exclude={"library_version"})
        self._fields |= {
            "width": plan.key.width,
            "height": plan.key.height,
            "num_images": len(plan.seeds),
        }
        waited = time.monotonic() - self._begun
        painted = await self._service.carry_out(plan, self._job_id, self._client_gone, waited)
        result = await self._encode(painted, plan, image_format, provenance)
        self._fields |= {name: round(value, 3) for name, value in result.timings}
        if not is_bare:
            return Response(result.model_dump_json(), media_type="application/json")
        return Response(
            result.images[0].data,
            media_type=f"image/{image_format}",
            headers=fact_headers(result.provenance, result.timings),
        )

    async def _read(self) -> InvocationRequest:
        limit = self._settings.max_body_bytes
        too_large = BodyTooLargeError(f"The body has more than {limit} bytes.")
        declared = self._request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        body = bytearray()
        async for chunk in self._request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
        try:
            return await asyncio.to_thread(InvocationRequest.model_validate_json, bytes(body))
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            if any(fault["type"] == "json_invalid" for fault in faults):
                raise MalformedBodyError(faults[0]["msg"]) from error
            raise InvalidFieldsError(
                [
                    FieldError(
                        field=".".join(map(str, fault["loc"])) or "body", message=fault["msg"]
                    )
                    for fault in faults
                ]
            ) from error

    async def _client_gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    async def _encode(
        self, painted: Finished, plan: Plan, image_format: ImageFormat, provenance: Provenance
    ) -> GenerationResult:
        begun = time.monotonic()
        images = []
        for seed, image in zip(plan.seeds, painted.results, strict=True):
            origin = provenance.model_copy(update={"seed": seed})
            data = await asyncio.to_thread(encode_image, image, image_format, origin)
            images.append(
                GeneratedImage(
                    seed=seed,
                    image_format=image_format,
                    width=image.width,
                    height=image.height,
                    data=base64.b64encode(data),
                )
            )
        return GenerationResult(
            images=tuple(images),
            provenance=provenance,
            timings=Timings(
                queue_seconds=painted.queue_seconds,
                generate_seconds=painted.generate_seconds,
                encode_seconds=time.monotonic() - begun,
            ),
            instance_type=self._settings.instance_type,
        )


def _provenance(planned: PlannedRequest, plan: Plan) -> Provenance:
    key = plan.key
    return Provenance(
        model=planned.model_name,
        artifact_sha256=planned.artifact_sha256,
        preset=key.preset,
        num_inference_steps=key.num_inference_steps,
        guidance_scale=key.guidance_scale,
        eta=key.eta,
        seed=plan.seeds[0],
        **asdict(key.shortcuts),
        execution_path=planned.execution_path,
        library_version=library_version(),
    )
