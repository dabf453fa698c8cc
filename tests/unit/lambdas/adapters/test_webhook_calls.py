import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.adapters.webhook_calls import WebhookCalls
from lambdas.domain.errors import DeliveryFailedError

HEADERS = {"webhook-id": "job_1", "webhook-signature": "v1,abc"}


@pytest.fixture
def receiver() -> Iterator[SimpleNamespace]:
    """A server on this machine that remembers what it got."""
    seen = SimpleNamespace(requests=[], status=204, location="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.requests.append((self.path, dict(self.headers), body))
            self.send_response(seen.status)
            if seen.location:
                self.send_header("Location", seen.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    seen.url = f"http://localhost:{server.server_port}/in?from=clinic"
    yield seen
    server.shutdown()
    server.server_close()


def test_sends_body_and_headers_to_the_path(receiver: SimpleNamespace) -> None:
    assert WebhookCalls(allow_private=True).post(receiver.url, b'{"a": 1}', HEADERS) == 204
    ((path, headers, body),) = receiver.requests
    assert (path, body) == ("/in?from=clinic", b'{"a": 1}')
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-signature"] == "v1,abc"
    assert headers["Host"].startswith("localhost:")


def test_follows_no_redirect(receiver: SimpleNamespace) -> None:
    receiver.status, receiver.location = 302, "http://169.254.169.254/latest/meta-data/"
    assert WebhookCalls(allow_private=True).post(receiver.url, b"{}", HEADERS) == 302
    assert len(receiver.requests) == 1


def test_never_calls_this_machine_unless_told_to(receiver: SimpleNamespace) -> None:
    with pytest.raises(DeliveryFailedError, match="public internet"):
        WebhookCalls().post(receiver.url, b"{}", HEADERS)
    assert receiver.requests == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.7", "172.16.3.4", "192.168.1.1", "169.254.169.254", "::1", "fd00::1",
     "fe80::1", "0.0.0.0", "100.64.0.1", "::ffff:10.0.0.1",  # noqa: S104
     "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:a00:1::", "::10.0.0.1",
     "fec0::1", "224.0.0.1", "ff0e::1"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    entry = (family, socket.SOCK_STREAM, 6, "", (address, 443))
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [public, entry])
    with pytest.raises(DeliveryFailedError, match="public internet"):
        WebhookCalls().post("https://innocent.example/hook", b"{}", HEADERS)


def test_nobody_there_is_a_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DeliveryFailedError, match="not delivered"):
        WebhookCalls(allow_private=True).post(f"http://localhost:{port}/", b"{}", HEADERS)


def test_a_name_that_does_not_exist_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("unknown name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DeliveryFailedError, match="unknown name"):
        WebhookCalls().post("https://nowhere.example/", b"{}", HEADERS)


def test_https_is_spoken_in_earnest(receiver: SimpleNamespace) -> None:
    url = receiver.url.replace("http://", "https://")
    with pytest.raises(DeliveryFailedError, match="SSL"):
        WebhookCalls(allow_private=True).post(url, b"{}", HEADERS)
    assert receiver.requests == []
