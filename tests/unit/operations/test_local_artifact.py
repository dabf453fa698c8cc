"""What may be published, and under which name."""

import hashlib
from pathlib import Path

import pytest

from nvfp4_ddim_contracts import Manifest
from operations.errors import UnpublishableError
from operations.local_artifact import LocalArtifact, read_artifact
from tests.support_models import write_artifact


def _read(directory: Path, name: str | None = None, license_: str | None = None) -> LocalArtifact:
    return read_artifact(directory, name=name, license_=license_, on_bytes=lambda count: None)


def test_the_manifest_as_it_lies_there_names_the_artifact(tmp_path: Path) -> None:
    checked: list[int] = []
    write_artifact(tmp_path)
    (tmp_path / "README.md").write_text("not listed")
    artifact = read_artifact(tmp_path, on_bytes=checked.append)
    text = (tmp_path / "manifest.json").read_bytes()
    assert artifact.artifact_sha256 == hashlib.sha256(text).hexdigest()
    assert artifact.names()[-1] == "manifest.json"
    assert "README.md" not in artifact.names()
    assert sum(checked) == artifact.manifest.artifact_bytes
    for name in artifact.names():
        with artifact.open(name) as stream:
            assert len(stream.read()) == artifact.size(name)


def test_another_name_is_another_artifact_and_always_the_same_one(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    plain, renamed = _read(tmp_path), _read(tmp_path, name="other")
    assert Manifest.model_validate_json(renamed.manifest_text).name == "other"
    assert renamed.artifact_sha256 != plain.artifact_sha256
    assert renamed.artifact_sha256 == _read(tmp_path, name="other").artifact_sha256
    assert _read(tmp_path, name="m").artifact_sha256 == plain.artifact_sha256


@pytest.mark.parametrize("unstated", ["", " ", "NOASSERTION"])
def test_a_licence_has_to_be_stated(tmp_path: Path, unstated: str) -> None:
    write_artifact(tmp_path, license_=unstated)
    with pytest.raises(UnpublishableError, match="--license"):
        _read(tmp_path)
    assert _read(tmp_path, license_="MIT").manifest.license == "MIT"


def test_a_name_that_no_job_could_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnpublishableError, match="name"):
        _read(write_artifact(tmp_path), name="../m")


@pytest.mark.parametrize("damage", ["altered", "truncated", "missing", "unfinished"])
def test_a_damaged_directory_is_refused(tmp_path: Path, damage: str) -> None:
    weights = write_artifact(tmp_path) / "unet" / "weights.safetensors"
    data = weights.read_bytes()
    if damage == "altered":
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "truncated":
        weights.write_bytes(data[:-1])
    elif damage == "missing":
        weights.unlink()
    else:
        (tmp_path / "manifest.json").unlink()
    with pytest.raises(UnpublishableError, match="can't be published"):
        _read(tmp_path)
