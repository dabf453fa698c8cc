"""The real server as a process of its own, on a real artifact of a model a few layers small.

With NVFP4_IMAGE, the server is a container of that image: see tests/support_image.py.
"""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from nvfp4_ddim_contracts import DataFree, ScaleSearch
from nvfp4_ddim_optimizer.artifacts import save_artifact
from nvfp4_ddim_optimizer.nvfp4 import quantizer_for
from nvfp4_ddim_optimizer.sources import quantize_pipeline
from tests.integration.server.aws import ARTIFACTS
from tests.support_image import Launcher, SourceLauncher, named_image
from tests.support_pipelines import tiny_pipeline

ABSMAX = DataFree(scale_search=ScaleSearch.ABSMAX)

MODEL_NAME = "tiny-test"
START_SECONDS = 300.0


class ServerProcess:
    """A running server; its log is read line by line as it comes."""

    def __init__(self, launcher: Launcher, environment: dict[str, str], port: int) -> None:
        self._launcher = launcher
        self.process = launcher.serve(environment)
        self.log: list[str] = []
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line.rstrip("\n"))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log if line.startswith("{")]

    def wait_until_ready(self) -> "ServerProcess":
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "\n".join(self.log)
            try:
                if self.client.get("/ping").status_code == 200:
                    return self
            except httpx.ConnectError:
                pass
            time.sleep(0.1)
        raise AssertionError("never ready:\n" + "\n".join(self.log))

    def wait(self, seconds: float = START_SECONDS) -> int:
        """The exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def stop(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self._launcher.kill(self.process)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of random weights, native size 64 x 64 pixels. Read only."""
    pipeline = tiny_pipeline()
    layers = quantize_pipeline(pipeline, quantizer_for(ABSMAX))
    directory = tmp_path_factory.mktemp("artifacts") / MODEL_NAME
    save_artifact(
        pipeline,
        layers,
        directory,
        name=MODEL_NAME,
        original_model="random",
        license="Apache-2.0",
        quantization=ABSMAX,
        default_guidance_scale=2.0,
        native_height=64,
        native_width=64,
    )
    return directory


@pytest.fixture
def artifact_copy(artifact: Path, tmp_path: Path) -> Path:
    """An artifact that a test may spoil."""
    return Path(shutil.copytree(artifact, tmp_path / "model"))


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    """How the server is started; a container sees the tests' files where they are."""
    return named_image(shared=tmp_path_factory.getbasetemp()) or SourceLauncher()


@pytest.fixture(scope="session")
def start_server(launcher: Launcher) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers: `start_server(model_dir, SERVER_QUEUE_SIZE="1")`."""
    with ExitStack() as stack:

        def start(model_dir: Path, **variables: str) -> ServerProcess:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            environment = {
                "OMP_NUM_THREADS": "1",
                "SM_MODEL_DIR": str(model_dir),
                "SERVER_HOST": "127.0.0.1",
                "SERVER_PORT": str(port),
                **variables,
            }
            server = ServerProcess(launcher, environment, port)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="module")
def server(start_server: Callable[..., ServerProcess], artifact: Path) -> ServerProcess:
    """A ready server with the default settings."""
    return start_server(artifact).wait_until_ready()


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """Variables that lead to an AWS of our own."""
    cloud = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    cloud.start()
    _, port = cloud.get_host_and_port()
    yield {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    cloud.stop()


@pytest.fixture(scope="module")
def aws_client(aws: dict[str, str]) -> Callable[[str], Any]:
    """boto3 clients of it; the bucket of artifacts is there."""

    def client(service: str) -> Any:
        connect: Any = boto3.client
        return connect(
            service,
            endpoint_url=aws["AWS_ENDPOINT_URL"],
            region_name=aws["AWS_DEFAULT_REGION"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    client("s3").create_bucket(Bucket=ARTIFACTS)
    return client
