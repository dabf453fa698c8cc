"""A synthesised stage, and the tiny artifact that it deploys."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nvfp4_ddim_contracts import ArtifactFile, DataFree, Manifest, ScaleSearch

__all__ = [
    "IMAGE_URI",
    "REPOSITORY",
    "STAGE",
    "Assembly",
    "Resource",
    "Template",
    "read_template",
    "synthesise",
    "write_artifact",
]

REPOSITORY = Path(__file__).resolve().parents[2]
STAGE = "dev"
IMAGE_URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nvfp4-ddim:test"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """One synthesised template."""

    name: str
    path: Path
    body: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Resources of a type, by logical id."""
        return {
            name: resource
            for name, resource in self.body["Resources"].items()
            if resource["Type"] == kind
        }

    def only(self, kind: str) -> Resource:
        """Properties of the only resource of a type."""
        (resource,) = self.of_type(kind).values()
        properties: Resource = resource["Properties"]
        return properties


@dataclass(frozen=True)
class Assembly:
    """All templates of one stage."""

    directory: Path
    storage: Template
    inference: Template
    batch: Template
    quantization: Template
    api: Template
    observability: Template
    edge: Template

    @property
    def templates(self) -> tuple[Template, ...]:
        return (
            self.storage,
            self.inference,
            self.batch,
            self.quantization,
            self.api,
            self.observability,
            self.edge,
        )

    def all_of(self, kind: str) -> Iterator[tuple[Template, str, Resource]]:
        """Every resource of a type."""
        for template in self.templates:
            for name, resource in template.of_type(kind).items():
                yield template, name, resource


def write_artifact(directory: Path, name: str = "emoji-64") -> Path:
    """A tiny artifact: right in form, empty in content."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = b"not really weights"
    (directory / "weights.safetensors").write_bytes(weights)
    manifest = Manifest(
        name=name,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_by="tests",
        pipeline_class="StableDiffusionPipeline",
        original_model="none",
        original_bytes=len(weights),
        artifact_bytes=len(weights),
        license="CC-BY-4.0",
        quantization=DataFree(scale_search=ScaleSearch.ABSMAX),
        native_height=64,
        native_width=64,
        layers=(),
        files=(
            ArtifactFile(
                path="weights.safetensors",
                bytes=len(weights),
                sha256=hashlib.sha256(weights).hexdigest(),
            ),
        ),
    )
    (directory / "manifest.json").write_text(manifest.model_dump_json())
    return directory


def read_template(directory: Path, name: str, stage: str = STAGE) -> Template:
    path = directory / f"Nvfp4Ddim-{stage}-{name}.template.json"
    return Template(name=name, path=path, body=json.loads(path.read_text()))


def synthesise(scratch: Path, stage: str, **changes: Any) -> Assembly:
    """Synthesise one stage, or a variant of it; cdk-nag's checks run in it and must hold."""
    import aws_cdk as cdk

    from infra.lambda_bundle import LambdaBundle
    from infra.service import add_service
    from infra.stages import stage_config

    code = scratch / "code"
    code.mkdir()
    (code / "placeholder.py").touch()
    output = scratch / "cdk.out"
    app = cdk.App(
        outdir=str(output), context=json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    )
    add_service(
        app,
        config=replace(
            stage_config(stage), model_directory=write_artifact(scratch / "model"), **changes
        ),
        bundle=LambdaBundle(directory=code, content_hash="0" * 32),
        image_uri=IMAGE_URI,
    )
    app.synth()
    names = (each.name for each in fields(Assembly) if each.name != "directory")
    return Assembly(output, *(read_template(output, name, stage) for name in names))
