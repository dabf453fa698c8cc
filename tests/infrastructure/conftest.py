import os
from dataclasses import replace

import pytest

from infra.lane_options import (
    Architecture,
    LambdaLane,
    Lanes,
    RealtimeLane,
    ServerlessLane,
    WarmWindow,
)
from infra.stages import stage_config
from tests.infrastructure.assembly import STAGE, Assembly, synthesise

WINDOW = WarmWindow(start="0 7 ? * MON-FRI *", end="0 18 ? * MON-FRI *", instances=2)
LANES = Lanes(
    function=LambdaLane(memory_mb=3_008, architecture=Architecture.ARM64, max_concurrency=3),
    realtime=RealtimeLane(
        instance_type="ml.g6.xlarge", min_instances=1, max_instances=3, max_pixel_steps=10**7
    ),
    serverless=ServerlessLane(),
)

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


@pytest.fixture(scope="session")
def every_lane(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """cdk-nag's checks run in this synthesis, too."""
    capacity = replace(stage_config("prod").capacity, warm_windows=(WINDOW,))
    return synthesise(tmp_path_factory.mktemp("lanes"), "prod", capacity=capacity, lanes=LANES)
