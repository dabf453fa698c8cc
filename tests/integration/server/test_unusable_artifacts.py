"""A server that can't serve says why and ends, so that its supervisor knows at once."""

import os
from pathlib import Path
from typing import Any

import pytest

from nvfp4_ddim_contracts.manifest import MANIFEST_NAME


def flip_a_byte(directory: Path) -> None:
    weights = max(directory.rglob("*.safetensors"), key=lambda path: path.stat().st_size)
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def remove_manifest(directory: Path) -> None:
    (directory / MANIFEST_NAME).unlink()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (flip_a_byte, "ArtifactCorruptError"),
        (remove_manifest, "ArtifactNotFoundError"),
    ],
)
def test_ends_with_the_typed_error(
    start_server: Any, artifact_copy: Path, spoil: Any, error: str
) -> None:
    spoil(artifact_copy)
    server = start_server(artifact_copy)
    assert server.wait() == 1
    broken = [event for event in server.events if event["event"] == "server broken"]
    assert [event["error"] for event in broken] == [error]


def test_names_the_variable_that_is_wrong(start_server: Any, artifact: Path) -> None:
    server = start_server(artifact, SERVER_MAX_BATCH="many")
    assert server.wait() == 2
    assert "SERVER_MAX_BATCH='many'" in "\n".join(server.log)
