"""The local Runtime API and our own runtime, which know each other by AWS's protocol alone."""

import io
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.errors import FunctionNotRunnableError
from local.lambda_runtime import FunctionSpec, LambdaRuntime, PackageStore
from local.lambda_runtime.streaming import StreamFailedError
from local.settings import LocalSettings

PROJECT = Path(__file__).resolve().parents[4]
WRAPPER = "/var/task/lambdas/runtime/start.sh"
# As the handlers' own package, but for what they need: that would cost each test a second.
HANDLER = """
import os, time
from lambdas.runtime.response import StreamedResponse

def handler(event, context):
    what = event["what"]
    if what == "raise":
        raise ValueError("no answer")
    return StreamedResponse(201, {"X-Pid": str(os.getpid())}, chunks(what, context))

def chunks(what, context):
    yield b"first"
    yield b""
    if what == "cut":
        raise ValueError("in the middle")
    if what == "die":
        os._exit(3)
    if what == "sleep":
        time.sleep(60)
    if what == "wait":
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
    yield str(context.get_remaining_time_in_millis() > 0).encode()
"""


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(
        project_directory=PROJECT, state_directory=tmp_path / "cloud", port_base=14610
    )


@pytest.fixture
def runtime(settings: LocalSettings) -> Iterator[LambdaRuntime]:
    made = LambdaRuntime(settings, PackageStore(settings.state_directory / "functions"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A deployment package with our runtime in it, and a stand-in for Powertools' types."""
    root = tmp_path_factory.mktemp("package")
    shutil.copytree(PROJECT / "lambdas/runtime", root / "lambdas/runtime")
    (root / "lambdas/__init__.py").touch()
    types = root / "aws_lambda_powertools/utilities/typing.py"
    types.parent.mkdir(parents=True)
    types.write_text("LambdaContext = object\n")
    (root / "function.py").write_text(HANDLER)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(root))
    return buffer.getvalue()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def function(package: bytes, gate: Path) -> Callable[..., FunctionSpec]:
    def make(**changes: object) -> FunctionSpec:
        values: dict[str, object] = {
            "name": "events",
            "arn": "arn:aws:lambda:us-east-1:123456789012:function:events",
            "handler": "function.handler",
            "runtime": "python3.13",
            "package": package,
            "environment": {"AWS_LAMBDA_EXEC_WRAPPER": WRAPPER, "GATE": str(gate)},
            "timeout_seconds": 30.0,
            "memory_mb": 256,
        }
        return FunctionSpec(**{**values, **changes})  # type: ignore[arg-type]

    return make


def test_chunks_arrive_while_the_function_runs(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec], gate: Path
) -> None:
    answer = runtime.stream(function(), {"what": "wait"})
    metadata, delimiter, rest = next(answer).partition(bytes(8))
    assert b'"statusCode": 201' in metadata
    assert (len(delimiter), rest) == (8, b"")
    assert next(answer) == b"first"
    gate.touch()  # the function waits for this: the chunks before have come while it ran
    assert list(answer) == [b"True"]


def test_one_process_answers_again_after_errors(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec]
) -> None:
    spec = function()
    pid = next(runtime.stream(spec, {"what": "answer"}))
    for what, message in (("raise", "no answer"), ("cut", "in the middle")):
        with pytest.raises(StreamFailedError, match=message) as failed:
            list(runtime.stream(spec, {"what": what}))
        assert failed.value.kind == "ValueError"
    assert b"X-Pid" in pid
    # The first answer was left unread: it is drained, and its process serves later ones.
    end = time.monotonic() + 20
    while next(runtime.stream(spec, {"what": "answer"})) != pid:
        assert time.monotonic() < end


def test_a_process_that_dies_is_replaced(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec]
) -> None:
    spec = function()
    with pytest.raises(StreamFailedError, match="exited"):
        list(runtime.stream(spec, {"what": "die"}))
    assert b"".join(runtime.stream(spec, {"what": "answer"})).endswith(b"firstTrue")


def test_a_function_that_takes_too_long_is_ended(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec]
) -> None:
    spec = function(timeout_seconds=3.0)
    with pytest.raises(StreamFailedError, match=r"timed out after 3\.00 seconds"):
        list(runtime.stream(spec, {"what": "sleep"}))


def test_who_invokes_without_a_stream_gets_the_whole(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec]
) -> None:
    assert runtime.invoke(function(), {"what": "answer"}).payload.endswith(b"firstTrue")
    failed = runtime.invoke(function(), {"what": "raise"})
    assert failed.is_error
    assert failed.json()["errorType"] == "ValueError"


def test_two_at_once_get_two_processes(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec], gate: Path
) -> None:
    spec = function()
    answers = [runtime.stream(spec, {"what": "wait"}) for _ in range(2)]
    assert next(answers[0]) != next(answers[1])
    threading.Timer(0.2, gate.touch).start()
    assert [list(answer) for answer in answers] == [[b"first", b"True"]] * 2


def test_a_handler_that_cannot_be_imported_is_said(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec]
) -> None:
    with pytest.raises(FunctionNotRunnableError, match="nothing_here"):
        runtime.stream(function(handler="nothing_here.handler"), {})


def test_a_buffered_function_cannot_stream(
    runtime: LambdaRuntime, function: Callable[..., FunctionSpec]
) -> None:
    with pytest.raises(FunctionNotRunnableError, match="AWS_LAMBDA_EXEC_WRAPPER"):
        runtime.stream(function(environment={}), {})
