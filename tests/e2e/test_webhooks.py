"""A receiver on this machine is told by the deployed app, and can prove by whom."""

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.e2e

Call = tuple[dict[str, str], bytes]


class Receiver:
    """Fails as often as told, then answers 204."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Call] = queue.Queue()
        self.failures = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.calls.put(({k.lower(): v for k, v in self.headers.items()}, body))
                outer.failures -= 1
                self.send_response(204 if outer.failures < 0 else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/pictures"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_receiver_is_told_again_until_it_understands(
    api: httpx.Client, receiver: Receiver
) -> None:
    secret = api.get("/v1/webhooks/secret").json()["secret"]
    receiver.failures = 1
    body = {
        "prompt": "red heart",
        "preset": "fast",
        "num_inference_steps": 2,
        "webhook_url": receiver.url,
    }
    job = api.post("/v1/jobs", json=body).json()
    calls = [receiver.calls.get(timeout=120) for _ in range(2)]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    for headers, received in calls:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received
        digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{digest}"
        assert headers["webhook-id"] == f"job_{job['id']}"
    event = json.loads(calls[1][1])
    assert event["type"] == "job.succeeded"
    picture = httpx.get(event["data"]["images"][0]["url"], trust_env=False)
    assert picture.content.startswith(b"\x89PNG")
    with pytest.raises(queue.Empty):
        receiver.calls.get(timeout=12)
