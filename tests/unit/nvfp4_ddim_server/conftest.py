"""A pipeline that paints one colour, for tests of everything around the real one."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch  # noqa: F401 - takes seconds, which should not fall into a timed test
from PIL import Image
from starlette.testclient import TestClient

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_optimizer.errors import GenerationCancelled, ModelNotSupportedError
from nvfp4_ddim_optimizer.shortcuts import Shortcuts
from nvfp4_ddim_optimizer.tasks.base import OutputFile, TaskOutput
from nvfp4_ddim_server import ServerSettings, create_app
from nvfp4_ddim_server.planning import BatchKey, Plan
from nvfp4_ddim_server.queueing import Ticket
from tests.support_tasks import ToyReport


@dataclass(frozen=True)
class FakeStep:
    step: int
    total: int


@dataclass
class FakePipeline:
    """Paints the seed's low bytes. `gate` stops it before every step while it is clear."""

    model_name: str = "fake-model"
    artifact_sha256: str = "a" * 64
    execution_path: str = "cpu/fp32/fake"
    weight_bytes: int = 1_000
    has_native_fp4: bool = False
    native_width: int = 16
    native_height: int = 24
    default_guidance_scale: float = 3.0
    tasks: tuple[str, ...] = ("generate",)
    task_steps: int = 6
    shortcuts: Shortcuts = Shortcuts(cache_interval=2)  # noqa: RUF009 - frozen
    error: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    stepping: threading.Event = field(default_factory=threading.Event)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def task(self, name: str) -> object:
        if name not in self.tasks:
            raise ModelNotSupportedError(f"{self.model_name} can't {name}")
        return self

    def run(
        self,
        task: str,
        inputs: Mapping[str, bytes],
        parameters: Any,
        *,
        on_step: Callable[[FakeStep], None],
        should_cancel: Callable[[], bool],
        **rest: Any,
    ) -> TaskOutput[ToyReport]:
        self.task(task)
        self.calls.append({"task": task, "inputs": dict(inputs), **rest})
        if self.error is not None:
            raise self.error
        for step in range(1, self.task_steps + 1):
            self.stepping.set()
            assert self.gate.wait(10), "the test forgot to open the gate"
            if should_cancel():
                raise GenerationCancelled
            on_step(FakeStep(step, self.task_steps))
        files = (
            OutputFile("mask.png", "image/png", b"mask:" + inputs["image"]),
            OutputFile("areas.csv", "text/csv", b"area\n"),
        )
        return TaskOutput(ToyReport(area=len(inputs["image"])), files)

    def with_preset(self, preset: str) -> "FakePipeline":
        assert preset in list(Preset)
        return self

    def resolve_shortcuts(self, num_inference_steps: int, **wishes: Any) -> Shortcuts:
        return self.shortcuts.override(**wishes)

    def generate(
        self,
        prompt: Sequence[str],
        *,
        num_inference_steps: int,
        seed: Sequence[int],
        width: int,
        height: int,
        on_step: Callable[[FakeStep], None],
        should_cancel: Callable[[], bool],
        **rest: Any,
    ) -> list[Image.Image]:
        self.calls.append(
            {"prompt": list(prompt), "seed": list(seed), "steps": num_inference_steps, **rest}
        )
        if self.error is not None:
            raise self.error
        for step in range(1, num_inference_steps + 1):
            self.stepping.set()
            assert self.gate.wait(10), "the test forgot to open the gate"
            if should_cancel():
                raise GenerationCancelled
            on_step(FakeStep(step, num_inference_steps))
        return [Image.new("RGB", (width, height), (one % 256, one // 256 % 256, 7)) for one in seed]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The calls after the warm-up."""
        return self.calls[1:]


@dataclass
class RecordingSink:
    """Remembers reports; `wanted` is its answer."""

    wanted: bool = True
    reports: list[tuple[str, int, int]] = field(default_factory=list)

    def report(self, job_id: str, step: int, total_steps: int) -> bool:
        self.reports.append((job_id, step, total_steps))
        return self.wanted


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def make_client(pipeline: FakePipeline, sink: RecordingSink) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of a running app; waits until it is ready unless told otherwise."""
    with ExitStack() as stack:

        def make(
            *,
            load: Callable[[], Any] | None = None,
            load_artifact: Any = None,
            registry: Any = None,
            bundled: Any = None,
            inputs: Any = None,
            wait: bool = True,
            **settings: Any,
        ) -> TestClient:
            app = create_app(
                ServerSettings(**settings),
                load_pipeline=load or (lambda: pipeline),
                load_artifact=load_artifact,
                registry=registry,
                bundled=bundled,
                inputs=inputs,
                sink=sink,
            )
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            if wait:
                until(lambda: client.get("/ping").status_code == 200)
            return client

        yield make
        pipeline.gate.set()


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


@pytest.fixture
def wait_until() -> Callable[..., None]:
    return until


@pytest.fixture
def make_ticket() -> Callable[..., Ticket]:
    def make(*seeds: int, prompt: str = "a pear", **key: Any) -> Ticket:
        wishes: dict[str, Any] = {
            "preset": Preset.FAST,
            "num_inference_steps": 3,
            "guidance_scale": 2.0,
            "eta": 0.0,
            "width": 16,
            "height": 16,
            "negative_prompt": "",
        }
        return Ticket(Plan(prompt=prompt, seeds=seeds or (0,), key=BatchKey(**(wishes | key))))

    return make
