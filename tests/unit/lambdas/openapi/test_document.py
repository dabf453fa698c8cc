"""The document is the contracts' and nothing else: valid, complete, and the one in docs/."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import ValidationError

from lambdas.openapi.document import build_document, render_document
from nvfp4_ddim_contracts import JobRequest

COMMITTED = Path(__file__).parents[4] / "docs" / "openapi.json"
METHODS = {"get", "post", "delete"}
REQUEST_SCHEMA = Draft202012Validator(
    {
        "$ref": "#/components/schemas/JobRequest",
        "components": build_document()["components"],
    }
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_document()


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_the_committed_document_is_up_to_date() -> None:
    hint = "docs/openapi.json has drifted: run `python -m lambdas.openapi`."
    assert COMMITTED.read_text(encoding="utf-8") == render_document(), hint


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)


def test_every_operation_has_a_name_and_says_how_it_fails(document: dict[str, Any]) -> None:
    operations = _operations(document)
    names = [operation["operationId"] for _, _, operation in operations]
    assert sorted(names) == [
        "cancelJob",
        "createImage",
        "createJob",
        "createUpload",
        "getJob",
        "getWebhookSecret",
        "listJobs",
        "listModels",
        "listTasks",
        "streamJobEvents",
    ]
    for _, _, operation in operations:
        assert operation["summary"]
        assert {"401", "429", "500"} <= set(operation["responses"])


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    count = 0
    for _, _, operation in _operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (body.get("content", {}) for body in bodies):
            for media in content.values():
                named = [each["value"] for each in media.get("examples", {}).values()]
                for example in [media["example"]] if "example" in media else named:
                    schema = {**media["schema"], "components": document["components"]}
                    Draft202012Validator(schema).validate(example)
                    count += 1
    assert count >= 8


def test_keys_are_asked_for_in_both_ways(document: dict[str, Any]) -> None:
    assert document["security"] == [{"apiKey": []}, {"bearer": []}]
    schemes = document["components"]["securitySchemes"]
    assert schemes["apiKey"]["name"] == "x-api-key"
    assert schemes["bearer"]["scheme"] == "bearer"


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prompt": st.one_of(st.none(), st.text(max_size=5)),
            "preset": st.sampled_from(["fast", "balanced", "quality", "ultra"]),
            "num_inference_steps": st.one_of(st.none(), st.integers(-1, 1_002)),
            "width": st.integers(0, 1_100),
            "eta": st.floats(-1, 2, allow_nan=False),
            "seed": st.integers(-1, 2**32),
            "unknown": st.just(1),
        },
    )
)
def test_schema_and_contract_refuse_the_same(body: dict[str, Any]) -> None:
    try:
        JobRequest.model_validate_json(json.dumps(body))
        accepted = True
    except ValidationError:
        accepted = False
    prompt = body.get("prompt")
    if isinstance(prompt, str) and prompt and not prompt.strip():
        return  # That blanks are stripped first is beyond JSON Schema.
    assert REQUEST_SCHEMA.is_valid(body) == accepted
