"""A CDN of a few files whose misbehaviour a test chooses, and artifacts to publish there."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nvfp4_ddim_contracts import ArtifactFile, DataFree, Manifest, ManifestSignature, ScaleSearch
from nvfp4_ddim_contracts.keys import (
    artifact_prefix,
    live_pointer_key,
    manifest_key,
    public_key_key,
    signature_key,
)
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_contracts.signatures import signed_message

__all__ = ["Answer", "CdnServer", "Publisher", "make_files"]

Files = dict[str, bytes]


def make_files(seed: int = 0, size: int = 10_000) -> Files:
    """An artifact in form: an index, and weights that differ from byte to byte."""
    block = hashlib.sha256(str(seed).encode()).digest()
    return {
        "model_index.json": b"{}",
        "unet/config.json": json.dumps({"seed": seed}).encode(),
        "unet/weights.safetensors": (block * (size // 32 + 1))[:size],
        "vae/weights.safetensors": b"the same in all releases" * 300,
    }


class Publisher:
    """Signs as the stack does."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        public = self.key.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    def sign(self, sha256: str) -> bytes:
        raw = self.key.sign(signed_message(sha256), ec.ECDSA(hashes.SHA256()))
        signature = ManifestSignature(key_id=self.key_id, signature=base64.b64encode(raw))
        return signature.model_dump_json().encode()


class Answer:
    """One answer on its way; a fault may change it. `cut` ends the connection after so many."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        self.cut: int | None = None
        self.hold: threading.Event | None = None


Fault = Callable[[str, int, Answer], None]
"""Given the path, how often it was asked for before, and the right answer, which it may change."""


class CdnServer:
    """Serves what was published, honours ranges, and then lets `fault` have its way."""

    def __init__(self) -> None:
        self.files: Files = {}
        self.fault: Fault = lambda path, count, answer: None
        self.requests: list[tuple[str, str]] = []
        self.sent_bytes = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def publish(self, publisher: Publisher, files: Files, name: str = "m") -> str:
        """Publish an artifact and make it the live one; its SHA-256."""
        total = sum(map(len, files.values()))
        manifest = Manifest(
            name=name,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            created_by="tests",
            pipeline_class="StableDiffusionPipeline",
            original_model="none",
            original_bytes=total,
            artifact_bytes=total,
            license="CC0-1.0",
            quantization=DataFree(scale_search=ScaleSearch.ABSMAX),
            native_height=64,
            native_width=64,
            layers=(),
            files=tuple(
                ArtifactFile(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
                for path, data in files.items()
            ),
        )
        body = manifest.model_dump_json().encode()
        sha256 = hashlib.sha256(body).hexdigest()
        prefix = artifact_prefix(name, sha256)
        self.files |= {prefix + path: data for path, data in files.items()}
        self.files[manifest_key(name, sha256)] = body
        self.files[signature_key(name, sha256)] = publisher.sign(sha256)
        self.files[public_key_key(publisher.key_id)] = publisher.pem
        live = LiveModel(
            name=name,
            artifact_sha256=sha256,
            created=1,
            license="CC0-1.0",
            artifact_bytes=total,
            native_width=64,
            native_height=64,
        )
        self.files[live_pointer_key(name)] = live.model_dump_json().encode()
        return sha256

    def asked(self, suffix: str) -> list[str]:
        """The ranges that were asked for, of paths that end so."""
        return [wanted for path, wanted in self.requests if path.endswith(suffix)]

    def _answer(self, path: str, wanted: str) -> Answer:
        with self._lock:
            count = sum(path == each for each, _ in self.requests)
            self.requests.append((path, wanted))
        data = self.files.get(path)
        if data is None:
            answer = Answer(403, {}, b"<Error/>")
        elif match := re.fullmatch(r"bytes=(\d+)-(\d+)", wanted):
            first, last = int(match[1]), min(int(match[2]), len(data) - 1)
            headers = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            answer = Answer(206, headers, data[first : last + 1])
        else:
            answer = Answer(200, {}, data)
        self.fault(path, count, answer)
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = owner._answer(self.path.lstrip("/"), self.headers.get("Range", ""))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                body = answer.body if answer.cut is None else answer.body[: answer.cut]
                self.wfile.write(body)
                self.wfile.flush()
                with owner._lock:
                    owner.sent_bytes += len(body)
                if answer.hold is not None:
                    answer.hold.wait(30)
                if answer.cut is not None:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
