"""The build context that `cdk deploy` hands to Docker: what the Dockerfile copies, and no more."""

import re
from pathlib import Path

import aws_cdk as cdk
import pytest

from infra.constructs.inference_image import InferenceImage
from infra.paths import INFERENCE_DOCKERFILE, REPOSITORY
from infra.stages import ImageTarget

COPY = re.compile(r"^COPY (?!--from)(?P<sources>.+) \S+$", re.MULTILINE)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    app = cdk.App(outdir=str(tmp_path_factory.mktemp("assembly")), analytics_reporting=False)
    stack = cdk.Stack(app, "Image")
    InferenceImage(stack, "Image", target=ImageTarget.CPU, uri=None)
    (asset,) = Path(app.synth().directory).glob("asset.*")
    return asset


def test_everything_that_is_copied_is_there(context: Path) -> None:
    dockerfile = (REPOSITORY / INFERENCE_DOCKERFILE).read_text()
    sources = {name for line in COPY.finditer(dockerfile) for name in line["sources"].split()}
    assert {"setup.py", "inference", "training"} <= sources
    assert sources <= {path.name for path in context.iterdir()}
    kernels = "inference/nvfp4_ddim_optimizer/native/csrc/api.h"
    assert (context / kernels).read_bytes() == (REPOSITORY / kernels).read_bytes()


def test_nothing_else_is_there(context: Path) -> None:
    top = {path.name for path in context.iterdir()} - {".dockerignore"}
    dockerfile = (REPOSITORY / INFERENCE_DOCKERFILE).read_text()
    assert all(name in dockerfile for name in top), top
    # What was built for this machine would change the image's hash, and with it the image.
    assert not [*context.rglob("*.so"), *context.rglob("*.pyc"), *context.rglob("*.npz")]
