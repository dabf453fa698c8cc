"""The Lambda lane under Lambda's own runtime emulator and a hard limit of memory.

    python -m benchmarks.lambda_lane [--rie PATH] [--memory-mb 2048]

The image's entry point runs as a process under `aws-lambda-rie`, which comes with the AWS SAM CLI;
without it, under a runtime API of ours. It is put into a memory cgroup of the function's size where
one may be made, else under the kernel's limit on private memory. S3 and SNS are moto's. The bundled
model is fetched from the registry, as on Lambda. A picture has the model's 64 x 64 pixels and 20
steps; its time ends when its answer lies in S3. What Lambda itself adds (fetching the image,
starting a micro-VM) is not in these numbers.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
from moto.server import ThreadedMotoServer

from benchmarks.claims import Claim, write_claims
from infra.model_release import read_release
from infra.paths import BUNDLED_MODELS
from local.lambda_runtime.buffered import RuntimeApi
from nvfp4_ddim_contracts.keys import live_pointer_key
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME

_MODEL = "emoji-64"
_RESULTS, _ARTIFACTS = "results", "artifacts"
_CGROUPS = Path("/sys/fs/cgroup/memory")
_SECONDS = 600.0
_WARM_PICTURES = 5
_ENTRY_POINT = [sys.executable, "-m", "nvfp4_ddim_server", "serve"]
Invoke = Callable[[dict[str, str]], None]


@dataclass(frozen=True)
class ColdRun:
    """One process from its start to its end."""

    first_seconds: float
    first_cpu_seconds: float
    warm_seconds: list[float]
    peak_bytes: int


def measure(aws: dict[str, str], rie: str | None, memory_bytes: int) -> ColdRun:
    """Start a function, let it paint, and read what it took."""
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        limit = stack.enter_context(_limit(memory_bytes))
        environment = _environment(aws, Path(scratch))
        begun = time.perf_counter()
        invoke = stack.enter_context(_function(rie, environment, limit))
        invoke(_task(aws, 1))
        first = time.perf_counter() - begun
        first_cpu = _cpu_seconds_below(os.getpid())
        warm = []
        for attempt in range(2, 2 + _WARM_PICTURES):
            task = _task(aws, attempt)
            begun = time.perf_counter()
            invoke(task)
            warm.append(time.perf_counter() - begun)
        return ColdRun(first, first_cpu, warm, limit.peak_bytes())


@dataclass(frozen=True)
class Limit:
    """A hard limit on a process and its children."""

    memory_bytes: int
    cgroup: Path | None

    def enter(self) -> None:
        """Put the calling process under it; run in the child before it becomes another program."""
        if self.cgroup is None:
            resource.setrlimit(resource.RLIMIT_DATA, (self.memory_bytes, self.memory_bytes))
        else:
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))

    def peak_bytes(self) -> int:
        """Most memory taken at once, the cache of files included where a cgroup counts it."""
        if self.cgroup is None:
            return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        return int((self.cgroup / "memory.max_usage_in_bytes").read_text())


@contextmanager
def _limit(memory_bytes: int) -> Iterator[Limit]:
    cgroup = _CGROUPS / f"lambda-lane-{uuid.uuid4().hex}"
    try:
        cgroup.mkdir()
    except OSError:
        yield Limit(memory_bytes, None)
        return
    (cgroup / "memory.limit_in_bytes").write_text(str(memory_bytes))
    try:
        yield Limit(memory_bytes, cgroup)
    finally:
        deadline = time.monotonic() + 10
        while (cgroup / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        cgroup.rmdir()


def _function(
    rie: str | None, environment: dict[str, str], limit: Limit
) -> AbstractContextManager[Invoke]:
    if rie is None:
        return _under_our_api(environment, limit)
    return _under_rie(rie, environment, limit)


@contextmanager
def _under_rie(rie: str, environment: dict[str, str], limit: Limit) -> Iterator[Invoke]:
    front, behind = _free_port(), _free_port()
    emulator = [
        rie,
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{front}",
        "--runtime-api-address",
        f"127.0.0.1:{behind}",
    ]
    url = f"http://127.0.0.1:{front}/2015-03-31/functions/function/invocations"

    def invoke(task: dict[str, str]) -> None:
        for _ in range(200):
            try:
                answer = httpx.post(url, json=task, timeout=_SECONDS, trust_env=False)
                break
            except httpx.ConnectError:
                time.sleep(0.02)
        _check(answer.json())

    with _process([*emulator, *_ENTRY_POINT], environment, limit):
        yield invoke


@contextmanager
def _under_our_api(environment: dict[str, str], limit: Limit) -> Iterator[Invoke]:
    api = RuntimeApi()

    def invoke(task: dict[str, str]) -> None:
        request_id = str(uuid.uuid4())
        api.send(
            {
                "event": task,
                "request_id": request_id,
                "deadline": time.time() + _SECONDS,
                "function_arn": "arn:aws:lambda:us-east-1:123456789012:function:inference",
                "trace_id": "Root=1-0-0",
            }
        )
        answer = api.receive(_SECONDS) or {}
        _check(json.loads(answer.get("body", json.dumps(answer))))

    with _process(_ENTRY_POINT, environment | {"AWS_LAMBDA_RUNTIME_API": api.address}, limit):
        yield invoke
    api.close()


@contextmanager
def _process(command: list[str], environment: dict[str, str], limit: Limit) -> Iterator[None]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        env=environment,
        preexec_fn=limit.enter,  # noqa: PLW1509 - this program has no other thread that forks
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        # The emulator puts the function into a process group of its own.
        below = psutil.Process(process.pid).children(recursive=True)
        for each in (*below, psutil.Process(process.pid)):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(below, timeout=10)
        process.wait()


def _cpu_seconds_below(pid: int) -> float:
    """Processor time of the processes below one that still run."""
    times: list[Any] = [each.cpu_times() for each in psutil.Process(pid).children(recursive=True)]
    return float(sum(each.user + each.system for each in times))


def _check(answer: Any) -> None:
    if answer != {"status": 200}:
        raise RuntimeError(f"The function did not make a picture: {answer}")


def _environment(aws: dict[str, str], scratch: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        **aws,
        "AWS_LAMBDA_FUNCTION_NAME": "inference",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(int(_SECONDS)),
        "MODEL_NAME": _MODEL,
        "SERVER_MODEL_SOURCE": "registry",
        "ARTIFACT_BUCKET": _ARTIFACTS,
        "SERVER_MODEL_CACHE_DIR": str(scratch / "models"),
        "XDG_CACHE_HOME": str(scratch / "cache"),
        "SUCCESS_TOPIC_ARN": aws["SUCCESS_TOPIC_ARN"],
        "ERROR_TOPIC_ARN": aws["ERROR_TOPIC_ARN"],
    }


def _client(service: str, aws: dict[str, str]) -> Any:
    connect: Any = boto3.client
    return connect(
        service,
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        region_name=aws["AWS_DEFAULT_REGION"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 - moto's
    )


def _task(aws: dict[str, str], attempt: int) -> dict[str, str]:
    key = f"async/input/{'0' * 32}/{attempt}.json"
    body = {"prompt": "red heart", "num_inference_steps": 20, "seed": attempt, "model": _MODEL}
    _client("s3", aws).put_object(Bucket=_RESULTS, Key=key, Body=json.dumps(body))
    return {"input_uri": f"s3://{_RESULTS}/{key}"}


@contextmanager
def _aws() -> Iterator[dict[str, str]]:
    """An AWS of our own with the bundled model in its registry."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    aws = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.get_host_and_port()[1]}",
    }
    s3, sns = _client("s3", aws), _client("sns", aws)
    for bucket in (_RESULTS, _ARTIFACTS):
        s3.create_bucket(Bucket=bucket)
    for variable in ("SUCCESS_TOPIC_ARN", "ERROR_TOPIC_ARN"):
        aws[variable] = sns.create_topic(Name=variable.lower())["TopicArn"]
    release = read_release(BUNDLED_MODELS / _MODEL, _MODEL)
    for path in release.directory.rglob("*"):
        if path.is_file() and path.name != MANIFEST_NAME:
            key = release.prefix + path.relative_to(release.directory).as_posix()
            s3.upload_file(str(path), _ARTIFACTS, key)
    s3.upload_file(
        str(release.directory / MANIFEST_NAME), _ARTIFACTS, release.prefix + MANIFEST_NAME
    )
    pointer = release.live.model_dump_json()
    s3.put_object(Bucket=_ARTIFACTS, Key=live_pointer_key(_MODEL), Body=pointer)
    yield aws
    server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Measure and write the claims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rie", default=shutil.which("aws-lambda-rie"))
    parser.add_argument("--memory-mb", type=int, default=2_048)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with _aws() as aws:
        runs = [
            measure(aws, arguments.rie, arguments.memory_mb * 2**20) for _ in range(arguments.runs)
        ]
    how = "aws-lambda-rie" if arguments.rie else "a runtime API of ours"
    held = f"{how}, {arguments.memory_mb} MB, median of {arguments.runs} processes"
    write_claims(
        "lambda_lane",
        "python -m benchmarks.lambda_lane",
        [
            Claim(
                "lambda_cold_seconds",
                statistics.median(run.first_seconds for run in runs),
                "s",
                None,
                "lower",
                f"Start of the process to the first picture in S3: import, fetching the model, "
                f"loading it, warming up, 20 steps ({held}).",
            ),
            Claim(
                "lambda_cold_cpu_seconds",
                statistics.median(run.first_cpu_seconds for run in runs),
                "s",
                None,
                "lower",
                f"Processor time until then, which other work on the machine does not lengthen "
                f"much ({held}).",
            ),
            Claim(
                "lambda_warm_seconds",
                statistics.median(second for run in runs for second in run.warm_seconds),
                "s",
                None,
                "lower",
                f"A picture of a process that has made one before ({held}).",
            ),
            Claim(
                "lambda_peak_bytes",
                max(run.peak_bytes for run in runs),
                "bytes",
                None,
                "lower",
                f"Most memory of all processes, and of the files they read, under a hard limit "
                f"({held}).",
            ),
        ],
    )


if __name__ == "__main__":
    main()
