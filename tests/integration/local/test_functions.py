import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support_local import Cloud


@pytest.fixture(scope="module")
def functions(cloud: Cloud, function_resource: Callable[..., dict[str, Any]]) -> Any:
    resources = {
        "Echo": function_resource("echo", GREETING="hello"),
        "Misbehave": function_resource("misbehave", timeout=2),
        "Missing": function_resource("not_there"),
    }
    stack = cloud.create_stack("functions", resources, {name: {"Ref": name} for name in resources})
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    yield cloud.outputs("functions")
    cloud.client("cloudformation").delete_stack(StackName="functions")


def invoke(cloud: Cloud, name: str, payload: Any) -> Any:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def test_a_function_runs_in_its_own_environment_with_a_real_context(
    cloud: Cloud, functions: dict[str, str]
) -> None:
    payload, error = invoke(cloud, functions["Echo"], {"a": 1})
    assert error is None
    body = json.loads(payload["body"])
    assert body["event"] == {"a": 1}
    assert body["greeting"] == "hello"
    assert body["function"] == functions["Echo"]
    assert 0 < body["remaining"] <= 10_000
    assert body["endpoint"] == cloud.settings.aws_url


def test_an_exception_is_reported_as_lambda_reports_it(
    cloud: Cloud, functions: dict[str, str]
) -> None:
    payload, error = invoke(cloud, functions["Misbehave"], {"kind": "raise"})
    assert error == "Unhandled"
    assert payload["errorType"] == "ValueError"
    assert payload["errorMessage"] == "no such luck"
    assert payload["stackTrace"]


def test_a_dead_process_is_an_error_and_the_next_call_gets_a_new_one(
    cloud: Cloud, functions: dict[str, str]
) -> None:
    payload, error = invoke(cloud, functions["Misbehave"], {"kind": "exit"})
    assert error == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    payload, error = invoke(cloud, functions["Misbehave"], {"kind": "fine"})
    assert error is None
    assert payload["slept"]


def test_a_timeout_stops_the_function(cloud: Cloud, functions: dict[str, str]) -> None:
    payload, error = invoke(cloud, functions["Misbehave"], {"kind": "sleep", "seconds": 5})
    assert error == "Unhandled"
    assert "timed out after 2.00 seconds" in payload["errorMessage"]


def test_waiting_invocations_do_not_block_each_other(
    cloud: Cloud, functions: dict[str, str]
) -> None:
    def call(_: Any) -> Any:
        return invoke(cloud, functions["Misbehave"], {"kind": "sleep", "seconds": 1})[0]["pid"]

    with ThreadPoolExecutor(4) as pool:
        processes = list(pool.map(call, range(4)))
    assert len(set(processes)) == 4


def test_a_handler_that_cannot_be_imported_says_so(cloud: Cloud, functions: dict[str, str]) -> None:
    payload, error = invoke(cloud, functions["Missing"], {})
    assert error == "Unhandled"
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert "not_there" in payload["errorMessage"]
