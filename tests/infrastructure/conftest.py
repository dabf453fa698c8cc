import json
import os
from dataclasses import replace
from typing import Any

import pytest

from tests.infrastructure.assembly import (
    IMAGE_URI,
    REPOSITORY,
    STAGE,
    Assembly,
    read_template,
    write_artifact,
)

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage dev, synthesised once; cdk-nag's checks run in it and must hold."""
    return _synthesise(tmp_path_factory, STAGE)


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage prod with everything that guards it, its private network too."""
    return _synthesise(tmp_path_factory, "prod", private_network=True)


def _synthesise(factory: pytest.TempPathFactory, stage: str, **changes: Any) -> Assembly:
    import aws_cdk as cdk

    from infra.lambda_bundle import LambdaBundle
    from infra.service import add_service
    from infra.stages import stage_config

    scratch = factory.mktemp("synthesis")
    code = scratch / "code"
    code.mkdir()
    (code / "placeholder.py").touch()
    output = scratch / "cdk.out"
    app = cdk.App(
        outdir=str(output), context=json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    )
    artifact = write_artifact(scratch / "model")
    add_service(
        app,
        config=replace(stage_config(stage), model_directory=artifact, **changes),
        bundle=LambdaBundle(directory=code, content_hash="0" * 32),
        image_uri=IMAGE_URI,
    )
    app.synth()
    return Assembly(
        output, *(read_template(output, name, stage) for name in ("storage", "inference", "api"))
    )
