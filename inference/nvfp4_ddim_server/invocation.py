"""One `POST /invocations`, from its headers to its answer and its line in the log."""

import asyncio
import base64
import functools
import importlib.metadata
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
from nvfp4_ddim_contracts.keys import job_id_from_attributes
from nvfp4_ddim_optimizer.encoding import encode_image

from .errors import BodyTooLargeError, InvalidFieldsError, MalformedBodyError
from .negotiation import check_content_type, choose_representation
from .planning import Plan
from .problems import problem_response
from .queueing import Painted
from .service import InferenceService, PlannedRequest
from .settings import ServerSettings

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
        # The prompt is nobody's business but its author's, so it is never logged.
        self._fields: dict[str, Any] = {"job_id": self._job_id}

    async def answer(self) -> Response:
        """Answer with pictures or a problem, and log one line about it."""
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
        wishes = await self._read()
        is_bare, image_format = choose_representation(self._request.headers.get("accept"), wishes)
        async with self._service.planned(wishes) as planned:
            return await self._paint(planned, is_bare, image_format)

    async def _paint(
        self, planned: PlannedRequest, is_bare: bool, image_format: ImageFormat
    ) -> Response:
        plan, provenance = planned.plan, _provenance(planned)
        self._fields |= provenance.model_dump(mode="json", exclude={"library_version"})
        self._fields |= {
            "width": plan.key.width,
            "height": plan.key.height,
            "num_images": len(plan.seeds),
        }
        waited = time.monotonic() - self._begun
        painted = await self._service.paint(plan, self._job_id, self._client_gone, waited)
        result = await self._encode(painted, plan, image_format, provenance)
        self._fields |= {name: round(value, 3) for name, value in result.timings}
        if not is_bare:
            return Response(result.model_dump_json(), media_type="application/json")
        return Response(
            result.images[0].data,
            media_type=f"image/{image_format}",
            headers=_headers(result),
        )

    async def _read(self) -> GenerationRequest:
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
            return GenerationRequest.model_validate_json(bytes(body))
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

    @staticmethod
    async def _encode(
        painted: Painted, plan: Plan, image_format: ImageFormat, provenance: Provenance
    ) -> GenerationResult:
        begun = time.monotonic()
        images = []
        for seed, image in zip(plan.seeds, painted.images, strict=True):
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
        )


def _provenance(planned: PlannedRequest) -> Provenance:
    key = planned.plan.key
    return Provenance(
        model=planned.model_name,
        artifact_sha256=planned.artifact_sha256,
        preset=key.preset,
        num_inference_steps=key.num_inference_steps,
        guidance_scale=key.guidance_scale,
        eta=key.eta,
        seed=planned.plan.seeds[0],
        **asdict(key.shortcuts),
        execution_path=planned.execution_path,
        library_version=_library_version(),
    )


@functools.cache
def _library_version() -> str:
    return importlib.metadata.version("nvfp4-ddim-optimizer")


def _headers(result: GenerationResult) -> dict[str, str]:
    """Provenance and timings of a bare picture, such as `X-NVFP4-DDIM-Seed`."""
    facts = result.provenance.model_dump(mode="json") | result.timings.model_dump(mode="json")
    return {
        f"X-NVFP4-DDIM-{name.replace('_', '-').title()}": str(value)
        for name, value in facts.items()
    }
