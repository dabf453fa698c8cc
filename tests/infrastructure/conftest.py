import os

import pytest

from tests.infrastructure.assembly import STAGE, Assembly, synthesise

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage that most tests look at."""
    return synthesise(tmp_path_factory.mktemp("synthesis"), STAGE)


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage that differs most from it."""
    return synthesise(tmp_path_factory.mktemp("production"), "prod")


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage prod with everything that guards it, its private network too."""
    return synthesise(tmp_path_factory.mktemp("guarded"), "prod", private_network=True)
