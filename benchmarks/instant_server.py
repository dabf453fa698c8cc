"""Stands in for the inference container: the same HTTP contract, one fixed picture, at once.

It prints the id of the job behind each request, so that a benchmark can count what was asked for.
"""

import json
import os
import struct
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nvfp4_ddim_contracts import (
    GeneratedImage,
    GenerationRequest,
    GenerationResult,
    ImageFormat,
    Provenance,
    Timings,
)
from nvfp4_ddim_contracts.keys import job_id_from_attributes

__all__ = ["answer_to", "main", "picture"]

_SIDE = 8


def picture() -> bytes:
    """A grey PNG of 8 x 8 pixels."""
    rows = (b"\0" + b"\x80" * _SIDE) * _SIDE
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def answer_to(request: GenerationRequest) -> GenerationResult:
    """What the container would answer, with the fixed picture."""
    seed = request.seed or 0
    image = GeneratedImage.model_construct(
        seed=seed, image_format=ImageFormat.PNG, width=_SIDE, height=_SIDE, data=picture()
    )
    return GenerationResult.model_construct(
        images=(image,) * request.num_images,
        provenance=Provenance(
            model=request.model or "",
            artifact_sha256="0" * 64,
            preset=request.preset,
            num_inference_steps=request.num_inference_steps or request.preset.steps,
            guidance_scale=0.0,
            eta=request.eta,
            seed=seed,
            execution_path="none/instant",
            library_version="0",
        ),
        timings=Timings(queue_seconds=0, generate_seconds=0, encode_seconds=0),
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """`GET /ping`."""
        self._answer(b"{}")

    def do_POST(self) -> None:
        """`POST /invocations`."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        attributes = self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        # One write a line: requests are answered by several threads.
        print(json.dumps({"job": job_id_from_attributes(attributes)}) + "\n", end="", flush=True)
        result = answer_to(GenerationRequest.model_validate_json(body))
        self._answer(result.model_dump_json().encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited
        """Keep the output for job ids."""


def main() -> None:
    """Serve where the environment says."""
    address = os.environ["SERVER_HOST"], int(os.environ["SERVER_PORT"])
    ThreadingHTTPServer(address, _Handler).serve_forever()


if __name__ == "__main__":
    main()
