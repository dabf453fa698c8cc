"""Every way in which an artifact can be wrong has its own clear error."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvfp4_ddim_contracts import ArtifactFile
from nvfp4_ddim_optimizer.artifacts import read_manifest, verify_artifact
from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactError,
    ArtifactFormatError,
    ArtifactNotFoundError,
    ArtifactVersionError,
)

WEIGHTS = "unet/weights.dense.safetensors"


def edit_manifest(artifact: Path, **changes: Any) -> None:
    path = artifact / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_good_artifact(artifact: Path) -> None:
    seen: list[ArtifactFile] = []
    manifest = verify_artifact(artifact, seen.append)
    assert manifest == read_manifest(str(artifact))
    assert tuple(seen) == manifest.files


def test_a_readme_beside_the_manifest_is_welcome(artifact: Path) -> None:
    (artifact / "README.md").write_text("# Tiny")
    verify_artifact(artifact)


@pytest.mark.parametrize(
    ("files", "hint"), [([], "never finished"), (["model_index.json"], "still to be quantised")]
)
def test_no_manifest(tmp_path: Path, files: list[str], hint: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(ArtifactNotFoundError, match=hint):
        verify_artifact(tmp_path)


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"manifest\.json"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize("path", [WEIGHTS, "tokenizer/tokenizer.json", "model_index.json"])
def test_a_missing_file(artifact: Path, path: str) -> None:
    (artifact / path).unlink()
    with pytest.raises(ArtifactCorruptError, match="missing"):
        verify_artifact(artifact)


@pytest.mark.parametrize("path", [WEIGHTS, "unet/config.json"])
def test_a_truncated_file(artifact: Path, path: str) -> None:
    data = (artifact / path).read_bytes()
    (artifact / path).write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtifactCorruptError, match=r"truncated.*Fetch"):
        verify_artifact(artifact)


@pytest.mark.parametrize("path", [WEIGHTS, "unet/config.json"])
def test_one_flipped_bit(artifact: Path, path: str) -> None:
    data = bytearray((artifact / path).read_bytes())
    data[len(data) // 2] ^= 0x10
    (artifact / path).write_bytes(data)
    with pytest.raises(ArtifactCorruptError, match=r"altered.*Fetch"):
        verify_artifact(artifact)


@pytest.mark.parametrize(
    "path",
    [
        "extra.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "tokenizer/added_tokens.json",
        "x/y/z.txt",
    ],
)
def test_an_unlisted_file_that_might_be_loaded(artifact: Path, path: str) -> None:
    (artifact / path).parent.mkdir(parents=True, exist_ok=True)
    (artifact / path).write_text("{}")
    with pytest.raises(ArtifactCorruptError, match="not listed"):
        verify_artifact(artifact)


@pytest.mark.parametrize(
    "path", ["model.bin", "unet/diffusion_pytorch_model.PT", "a.ckpt", "b.pkl", "c.pth"]
)
def test_a_pickle(artifact: Path, path: str) -> None:
    (artifact / path).write_bytes(b"cos\nsystem\n")
    with pytest.raises(ArtifactFormatError, match="pickle"):
        verify_artifact(artifact)


def test_a_pickle_in_the_manifest(artifact: Path) -> None:
    files = json.loads((artifact / "manifest.json").read_text())["files"]
    files[0]["path"] = "unet/weights.bin"
    edit_manifest(artifact, files=files)
    with pytest.raises(ArtifactFormatError, match=r"pickle|lists no"):
        read_manifest(artifact)


@pytest.mark.parametrize("version", [3, 99])
def test_a_newer_artifact(artifact: Path, version: int) -> None:
    edit_manifest(artifact, format_version=version, something_new={"a": 1})
    with pytest.raises(ArtifactVersionError, match=rf"format {version}.*upgrade"):
        verify_artifact(artifact)


def test_an_older_artifact(artifact: Path) -> None:
    edit_manifest(artifact, format_version=1)
    with pytest.raises(ArtifactVersionError, match=r"format 1.*quantise the model again"):
        verify_artifact(artifact)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "null",
        '{"format": "gguf"}',
        '{"format": "nvfp4-ddim-artifact"}',
        '{"format": "nvfp4-ddim-artifact", "format_version": "one"}',
        '{"format": "nvfp4-ddim-artifact", "format_version": 0}',
    ],
)
def test_a_foreign_manifest(artifact: Path, content: str) -> None:
    (artifact / "manifest.json").write_text(content)
    with pytest.raises(ArtifactFormatError):
        verify_artifact(artifact)


def test_a_manifest_cut_off(artifact: Path) -> None:
    path = artifact / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArtifactCorruptError, match=r"manifest\.json is truncated"):
        verify_artifact(artifact)


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/passwd", "unet/../../x", ".hidden", "a//b", "manifest.json"]
)
def test_paths_stay_inside(artifact: Path, path: str) -> None:
    files = json.loads((artifact / "manifest.json").read_text())["files"]
    files.append({"path": path, "bytes": 1, "sha256": "0" * 64})
    edit_manifest(artifact, files=files)
    with pytest.raises(ArtifactFormatError):
        read_manifest(artifact)


@pytest.mark.parametrize("keep", [slice(0, 0), slice(0, None)])
def test_every_file_is_listed_once(artifact: Path, keep: slice) -> None:
    files = json.loads((artifact / "manifest.json").read_text())["files"]
    edit_manifest(artifact, files=files[keep] + files[keep])
    with pytest.raises(ArtifactFormatError, match=r"twice|lists no"):
        read_manifest(artifact)


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists))
def test_any_manifest_gives_a_typed_error(tmp_path: Path, content: Any) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(ArtifactError):
        read_manifest(tmp_path)
