"""The built image in containers; skipped unless NVFP4_IMAGE names one.

The server's contract is not here: `NVFP4_IMAGE=… pytest tests/integration/server` holds the image
against the same tests as the sources.
"""

import pytest

from tests.integration.server.conftest import artifact, aws, aws_client
from tests.support_image import Image, named_image
from tests.unit.nvfp4_ddim_jobs.conftest import folders, write_task

__all__ = ["artifact", "aws", "aws_client", "folders", "image", "write_task"]


@pytest.fixture(scope="session")
def image() -> Image:
    """The image that NVFP4_IMAGE names."""
    found = named_image()
    if found is None:
        pytest.skip("NVFP4_IMAGE names no image: see docs/container.md")
    return found
