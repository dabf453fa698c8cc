import hashlib
from pathlib import Path

import pytest

from infra.errors import ModelArtifactError
from infra.model_release import read_release
from tests.infrastructure.assembly import write_artifact


def test_a_release_is_named_after_its_manifest(tmp_path: Path) -> None:
    release = read_release(write_artifact(tmp_path), "emoji-64")
    sha256 = hashlib.sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()
    assert release.prefix == f"models/emoji-64/{sha256}/"
    assert release.pointer_key == "models/emoji-64/live.json"
    assert release.prefix.startswith(release.family)
    assert release.pointer_key.startswith(release.family)
    assert (release.live.native_width, release.live.license) == (64, "CC-BY-4.0")


def test_a_missing_model_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ModelArtifactError, match="nvfp4-ddim quantize models/emoji-64"):
        read_release(tmp_path / "nothing", "emoji-64")


def test_a_truncated_file_is_noticed(tmp_path: Path) -> None:
    (write_artifact(tmp_path) / "weights.safetensors").write_bytes(b"short")
    with pytest.raises(ModelArtifactError, match=r"weights\.safetensors is missing or not"):
        read_release(tmp_path, "emoji-64")


def test_another_model_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ModelArtifactError, match="describes 'other'"):
        read_release(write_artifact(tmp_path, "other"), "emoji-64")


def test_something_else_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ModelArtifactError, match="no manifest of an NVFP4 artifact"):
        read_release(tmp_path, "emoji-64")
