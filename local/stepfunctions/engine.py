"""Puts moto's interpreter of state machines to work."""

from typing import Any

from moto.core.config import default_user_config
from moto.core.responses import EmptyResult
from moto.stepfunctions import models
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import (
    resource_eval_s3 as item_reader_s3,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.models import (
    StepFunctionsParserBackend,
    stepfunctions_parser_backends,
)
from moto.stepfunctions.responses import StepFunctionResponse

from local.clients import local_client

from .definition import MapExtras, read_definition
from .distributed_map import JsonLines, install_distributed_map
from .sagemaker_tasks import install_sagemaker_tasks

__all__ = ["install_state_machines"]


def install_state_machines(aws_url: str) -> None:
    """Execute state machines, with the local cloud's functions and buckets."""
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    models.stepfunctions_backends = stepfunctions_parser_backends
    _install_clients(aws_url)
    _install_parser()
    _install_tokens()
    install_distributed_map(local_client("s3", aws_url))
    install_sagemaker_tasks(aws_url)


def _install_clients(aws_url: str) -> None:
    # moto would build a new client for every call.
    def client_for(service: str, region: str, state_credentials: Any = None) -> Any:
        del region, state_credentials
        return local_client(service, aws_url)

    for module in (lambda_eval_utils, item_reader_s3):
        module.boto_client_for = client_for


def _install_parser() -> None:
    parse = AmazonStateLanguageParser.parse

    def parse_with_extras(text: str) -> Any:
        definition = read_definition(text)
        program, tree = parse(definition.text)
        _attach(program.states, definition.extras)
        return program, tree

    AmazonStateLanguageParser.parse = staticmethod(parse_with_extras)


def _install_tokens() -> None:
    find = StepFunctionsParserBackend._get_executions

    def find_started(backend: Any, status: Any = None) -> Any:
        # One that has only just begun would end the search for a token with an AttributeError.
        return [each for each in find(backend, status) if each.exec_worker and each.exec_worker.env]

    def fail(response: Any) -> Any:
        # moto drops the cause.
        response.stepfunction_backend.send_task_failure(
            response._get_param("taskToken"),
            error=response._get_param("error"),
            cause=response._get_param("cause"),
        )
        return EmptyResult()

    StepFunctionsParserBackend._get_executions = find_started
    StepFunctionResponse.send_task_failure = fail


def _attach(states: Any, extras: dict[str, MapExtras]) -> None:
    """Give every Map state, however deep, what was taken out of its definition."""
    for name, state in states.states.items():
        if isinstance(state, StateMap):
            component = state.iteration_component
            component.extras = extras[name]
            if extras[name].reads_json_lines:
                state.item_reader.resource_output_transformer = JsonLines()
            _attach(component._states, extras)
        for branch in getattr(getattr(state, "branches", None), "programs", []):
            _attach(branch.states, extras)
