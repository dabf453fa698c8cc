"""Insisting on FP4 arithmetic, for a machine and for a request."""

from typing import Any

import pytest

from nvfp4_ddim_server.errors import StartError
from nvfp4_ddim_server.predictor import Predictor

BODY = {"prompt": "a pear", "num_inference_steps": 2, "strict_precision": "nvfp4"}


def test_a_request_that_insists_fails_where_numbers_would_differ(make_client: Any) -> None:
    answer = make_client().post("/invocations", json=BODY)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:nvfp4-ddim:problem:precision-unavailable"
    assert "computes by cpu/fp32/fake" in answer.json()["detail"]


def test_a_request_that_insists_is_served_by_fp4_units(make_client: Any, pipeline: Any) -> None:
    pipeline.has_native_fp4 = True
    assert make_client().post("/invocations", json=BODY).status_code == 200


def test_only_what_exists_can_be_insisted_on(make_client: Any) -> None:
    answer = make_client().post("/invocations", json=BODY | {"strict_precision": "fp64"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "strict_precision"


def test_a_machine_below_the_least_precision_does_not_start(pipeline: Any) -> None:
    with pytest.raises(StartError, match="no FP4 units"):
        Predictor(lambda: pipeline, min_precision="nvfp4").setup()
    pipeline.has_native_fp4 = True
    Predictor(lambda: pipeline, min_precision="nvfp4").setup()
