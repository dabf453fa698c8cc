"""A stub of the service for the console's states: the page on one origin, the API on another.

A test moves the one job by hand (`advance`, `succeed`, `fail`), so nothing depends on timing. All
answers are made with the contracts' models, and requests are checked with them.
"""

import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from pydantic import ValidationError

from nvfp4_ddim_contracts import (
    Job,
    JobPage,
    JobProgress,
    JobRequest,
    JobState,
    Problem,
    ProblemType,
    Upload,
    UploadRequest,
)
from nvfp4_ddim_contracts.models import ModelList
from nvfp4_ddim_contracts.task_list import TaskList, list_tasks

from .stub_answers import invalid, make_job, models, picture, problem, succeeded, task_done

__all__ = ["API_KEY", "StubApi"]

API_KEY = "stub-key-0123456789abcdef"
_ALWAYS_ANSWERED = ("/v1/models", "/v1/tasks", "/v1/uploads")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' {api}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StubApi(AbstractContextManager["StubApi"]):
    """Two servers on free loopback ports and the state behind them.

    Attributes:
        job: The job under way, or None.
        finished: Jobs that `GET /v1/jobs` lists, newest first.
        idempotency_keys: Every key that `POST /v1/jobs` carried, in order.
        bodies: Every JSON body that `POST /v1/jobs` carried, in order.
        down: While true, connections are closed without an answer.
        images_down: While true, pictures are refused as an expired link is.
        hold: `POST /v1/jobs` is answered once this is set.
        uploads: Bodies of the forms that arrived at the store, as they came.
        store_down: While true, the store refuses forms.
        refusal: Answer to the next requests in place of the real one, or None.
    """

    def __init__(self, web_directory: Path) -> None:
        self.job: Job | None = None
        self.finished: list[Job] = []
        self.idempotency_keys: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.uploads: list[bytes] = []
        self.store_down = False
        self.down = False
        self.images_down = False
        self.hold = Event()
        self.hold.set()
        self.refusal: Problem | None = None
        self._api = ThreadingHTTPServer(("127.0.0.1", 0), partial(_ApiHandler, self))
        self._site = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(_SiteHandler, self, directory=str(web_directory))
        )

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._api.server_port}"

    @property
    def page_url(self) -> str:
        return f"http://127.0.0.1:{self._site.server_port}/index.html"

    def __enter__(self) -> Self:
        for server in (self._api, self._site):
            Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._api, self._site):
            server.shutdown()
            server.server_close()

    def accept(self, body: dict[str, Any], idempotency_key: str) -> Job:
        """What `POST /v1/jobs` does: one job per idempotency key."""
        repeated = idempotency_key in self.idempotency_keys
        self.idempotency_keys.append(idempotency_key)
        self.bodies.append(body)
        request = JobRequest.model_validate(body).request
        if self.job is None or not repeated:
            self.job = make_job(request)
        return self.job

    def advance(self, step: int, attempt: int = 1) -> None:
        """The worker reports a finished step."""
        job = self._current()
        progress = JobProgress(step=step, total_steps=job.progress.total_steps)
        self._change(state=JobState.RUNNING, progress=progress, attempt=attempt)

    def succeed(self, seed: int = 7) -> Job:
        """The worker is done; the job also enters the list."""
        self.job = succeeded(self._current(), self.page_url, seed)
        self.finished.insert(0, self.job)
        return self.job

    def succeed_task(self, report: dict[str, Any], **files: str) -> Job:
        """The worker is done with a task; files are given as name with `_` for `.`, and type."""
        self.job = task_done(self._current(), self.page_url, report, files)
        self.finished.insert(0, self.job.model_copy(update={"report": None}))
        return self.job

    def end(self, state: JobState, error: Problem | None = None) -> None:
        """The job ends without a picture."""
        self._change(state=state, error=error)

    def _current(self) -> Job:
        if self.job is None:
            raise AssertionError("the page has sent no job yet")
        return self.job

    def _change(self, **update: Any) -> None:
        self.job = self._current().model_copy(update=update)


class _QuietHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keeps the test's output clean."""

    def answer(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class _SiteHandler(_QuietHandler, SimpleHTTPRequestHandler):
    """The page's files, its config.json and the pictures."""

    def __init__(self, stub: StubApi, *args: Any, **kwargs: Any) -> None:
        self._stub = stub
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        if self.path == "/config.json":
            config = json.dumps({"apiUrl": self._stub.api_url + "/"}).encode()
            self.answer(200, config, "application/json")
        elif self.path.startswith("/results/"):
            status = 403 if self._stub.images_down else 200
            body = b"" if self._stub.images_down else picture()
            self.answer(status, body, "image/png", Cache_Control="no-store")
        else:
            super().do_GET()

    def end_headers(self) -> None:
        policy = CONTENT_SECURITY_POLICY.format(api=self._stub.api_url)
        self.send_header("Content-Security-Policy", policy)
        super().end_headers()


class _ApiHandler(_QuietHandler):
    """The API's operations."""

    def __init__(self, stub: StubApi, *args: Any, **kwargs: Any) -> None:
        self._stub = stub
        super().__init__(*args, **kwargs)

    def do_OPTIONS(self) -> None:
        self.answer(
            204,
            b"",
            "text/plain",
            Access_Control_Allow_Methods="GET, POST, DELETE",
            Access_Control_Allow_Headers="content-type, idempotency-key, x-api-key",
        )

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def _serve(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if self.path == "/store":
            self._store(data)
            return
        body = json.loads(data) if data else {}
        if self._stub.down:
            self.close_connection = True
            return
        if self.headers.get("x-api-key") != API_KEY:
            self.answer(403, b'{"message":"Forbidden"}', "application/json")
        elif self._stub.refusal and self.path not in _ALWAYS_ANSWERED:
            self._refuse(self._stub.refusal)
        else:
            self._operate(method, body)

    def _operate(self, method: str, body: dict[str, Any]) -> None:
        stub = self._stub
        if self.path == "/v1/models":
            self._send(200, models())
        elif self.path == "/v1/tasks":
            self._send(200, list_tasks())
        elif self.path == "/v1/uploads":
            self._send(201, self._place(UploadRequest.model_validate(body)))
        elif self.path.startswith("/v1/jobs?"):
            self._send(200, JobPage(jobs=tuple(stub.finished)))
        elif method == "POST":
            try:
                job = stub.accept(body, self.headers["idempotency-key"])
                stub.hold.wait(timeout=30)
                self._send(202, job)
            except ValidationError as error:
                self._refuse(invalid(error))
        elif found := self._find():
            if method == "DELETE":
                stub.end(JobState.CANCELLED)
                found = stub.job or found
            self._send(200, found)
        else:
            missing = problem(ProblemType.NOT_FOUND, 404, "Not found", "No such job.")
            self._refuse(missing)

    def _place(self, wanted: UploadRequest) -> Upload:
        return Upload(
            id=f"{len(self._stub.uploads):032x}",
            content_type=wanted.content_type,
            size_bytes=wanted.size_bytes,
            url=f"{self._stub.api_url}/store",
            fields={"Content-Type": wanted.content_type, "key": "uploads/somebody"},
            expires_at=datetime.now(UTC) + timedelta(minutes=15),
        )

    def _store(self, data: bytes) -> None:
        if self._stub.store_down:
            self.answer(503, b"", "application/xml")
            return
        self._stub.uploads.append(data)
        self.answer(204, b"", "application/xml")

    def _find(self) -> Job | None:
        job_id = self.path.rsplit("/", 1)[-1]
        known = [self._stub.job, *self._stub.finished]
        return next((job for job in known if job and job.id == job_id), None)

    def _send(self, status: int, model: Job | JobPage | ModelList | TaskList | Upload) -> None:
        self.answer(status, model.model_dump_json().encode(), "application/json")

    def _refuse(self, error: Problem) -> None:
        self.answer(error.status, error.model_dump_json().encode(), "application/problem+json")
