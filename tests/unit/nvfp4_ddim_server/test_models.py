"""Requests that name models, through the HTTP application."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME
from nvfp4_ddim_optimizer.errors import ArtifactCorruptError
from nvfp4_ddim_server.errors import ModelTooLargeError
from nvfp4_ddim_server.model_pool import ModelPool
from nvfp4_ddim_server.ports import StoredArtifact
from tests.unit.nvfp4_ddim_server.conftest import FakePipeline
from tests.unit.nvfp4_ddim_server.registry import FakeRegistry

BODY = {"prompt": "a pear", "num_inference_steps": 2, "seed": 1}


class FakeLoader:
    """Makes a fake of whatever artifact it is shown, and remembers that."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.error: Exception | None = None
        self.weight_bytes = 1_000

    def __call__(self, directory: Path) -> FakePipeline:
        if self.error is not None:
            raise self.error
        manifest = Manifest.model_validate_json((directory / MANIFEST_NAME).read_bytes())
        self.loads.append(manifest.name)
        return FakePipeline(
            model_name=manifest.name,
            artifact_sha256=directory.name,
            weight_bytes=self.weight_bytes,
            default_guidance_scale=1.5,
            native_width=32,
        )


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def client(
    make_client: Any, registry: FakeRegistry, loader: FakeLoader, tmp_path: Path
) -> Callable[..., TestClient]:
    def make(**settings: Any) -> TestClient:
        made: TestClient = make_client(
            registry=registry, load_artifact=loader, model_cache_dir=tmp_path / "cache", **settings
        )
        return made

    return make


def paint(client: TestClient, model: str | None = None) -> Any:
    return client.post("/invocations", json=BODY | ({"model": model} if model else {}))


def test_any_live_model_can_be_named(
    client: Any, registry: FakeRegistry, loader: FakeLoader
) -> None:
    live = {name: registry.publish(name) for name in ("sketch", "photo")}
    server = client()
    for name in ("sketch", "photo", "sketch", "photo"):
        answer = paint(server, name).json()
        assert answer["provenance"]["model"] == name
        assert answer["provenance"]["artifact_sha256"] == live[name].artifact_sha256
        assert answer["provenance"]["guidance_scale"] == 1.5
        assert answer["images"][0]["width"] == 32
    assert loader.loads == ["sketch", "photo"]
    assert set(registry.streams.values()) == {1}


def test_the_servers_own_model_needs_no_registry(
    client: Any, registry: FakeRegistry, pipeline: FakePipeline
) -> None:
    server = client()
    registry.is_down = True
    for name in (None, pipeline.model_name):
        assert paint(server, name).json()["provenance"]["artifact_sha256"] == "a" * 64
    answer = paint(server, "sketch")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_newer_artifact_under_the_servers_own_name_is_served(
    client: Any, registry: FakeRegistry, pipeline: FakePipeline
) -> None:
    live = registry.publish(pipeline.model_name)
    assert paint(client(), pipeline.model_name).json()["provenance"]["artifact_sha256"] == (
        live.artifact_sha256
    )


def test_a_missing_model_is_the_requests_fault(client: Any) -> None:
    answer = paint(client(), "nothing")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:nvfp4-ddim:problem:not-found")
    assert "No model called 'nothing'" in answer.json()["detail"]


def test_a_tampered_model_is_refused_and_the_server_lives(
    client: Any, registry: FakeRegistry
) -> None:
    live = registry.publish("sketch")
    registry.objects[registry.weights_key(live)] = b"x" * 1_000
    server = client()
    answer = paint(server, "sketch")
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:nvfp4-ddim:problem:model-unusable"
    assert paint(server).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [(ArtifactCorruptError("cut off"), 422), (MemoryError(), 500), (KeyError("bug"), 500)],
)
def test_a_model_that_does_not_load_fails_its_request_alone(
    client: Any, registry: FakeRegistry, loader: FakeLoader, error: Exception, status: int
) -> None:
    registry.publish("sketch")
    loader.error = error
    server = client()
    assert paint(server, "sketch").status_code == status
    loader.error = None
    assert paint(server, "sketch").status_code == 200


def test_a_lost_accelerator_ends_the_server(
    client: Any, registry: FakeRegistry, loader: FakeLoader, wait_until: Any
) -> None:
    registry.publish("sketch")
    loader.error = torch.AcceleratorError("illegal access")
    server = client()
    assert paint(server, "sketch").status_code == 500
    wait_until(lambda: server.get("/ping").status_code == 503)


def test_many_first_requests_fetch_and_load_once(
    client: Any, registry: FakeRegistry, loader: FakeLoader
) -> None:
    live = registry.publish("sketch")
    registry.slowness = 0.01
    server = client()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: paint(server, "sketch"), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert registry.streams[registry.weights_key(live)] == 1
    assert loader.loads == ["sketch"]


def test_waiting_for_a_model_counts_as_part_of_the_request(
    client: Any, registry: FakeRegistry
) -> None:
    registry.publish("sketch")
    registry.slowness = 0.2
    server = client(request_timeout_seconds=0.3)
    assert paint(server, "sketch").status_code == 504


def test_memory_is_bounded_and_the_least_used_model_goes(
    client: Any, registry: FakeRegistry, loader: FakeLoader
) -> None:
    for name in ("one", "two", "three"):
        registry.publish(name)
    loader.weight_bytes = 600_000
    server = client(model_memory_bytes=2**20)
    for name in ("one", "two", "one"):
        assert paint(server, name).status_code == 200
    assert loader.loads == ["one", "two", "one"]


def test_the_pool_drops_the_least_recently_used(loader: FakeLoader, tmp_path: Path) -> None:
    registry = FakeRegistry()
    artifacts = {}
    for name in ("one", "two", "three"):
        live = registry.publish(name)
        directory = tmp_path / live.artifact_sha256
        directory.mkdir()
        key = f"models/{name}/{live.artifact_sha256}/{MANIFEST_NAME}"
        (directory / MANIFEST_NAME).write_bytes(registry.objects[key])
        artifacts[name] = StoredArtifact(live.artifact_sha256, directory, 1_000)
    pool = ModelPool(loader, 2_000)
    for name in ("one", "two", "one", "three", "one", "two"):
        pool.get(artifacts[name])
        assert pool.held_bytes <= 2_000
    assert loader.loads == ["one", "two", "three", "two"]
    with pytest.raises(ModelTooLargeError, match="gives models beside its own 999 bytes"):
        ModelPool(loader, 999).get(artifacts["one"])
