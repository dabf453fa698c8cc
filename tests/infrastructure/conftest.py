import json
import os
from dataclasses import replace

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
    """The one synthesis of the test session; cdk-nag's checks run in it and must hold."""
    import aws_cdk as cdk

    from infra.lambda_bundle import LambdaBundle
    from infra.service import add_service
    from infra.stages import stage_config

    scratch = tmp_path_factory.mktemp("synthesis")
    code = scratch / "code"
    code.mkdir()
    (code / "placeholder.py").touch()
    output = scratch / "cdk.out"
    app = cdk.App(
        outdir=str(output), context=json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    )
    add_service(
        app,
        config=replace(stage_config(STAGE), model_directory=write_artifact(scratch / "model")),
        bundle=LambdaBundle(directory=code, content_hash="0" * 32),
        image_uri=IMAGE_URI,
    )
    app.synth()
    return Assembly(
        output, *(read_template(output, name) for name in ("storage", "inference", "api"))
    )
