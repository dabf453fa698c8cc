import json

import pytest

from nvfp4_ddim_contracts import FieldError, Problem, ProblemType
from nvfp4_ddim_server import errors
from nvfp4_ddim_server.problems import problem_for, problem_response


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.MalformedBodyError("x"), 400, ProblemType.INVALID_REQUEST),
        (errors.BodyTooLargeError("x"), 413, ProblemType.PAYLOAD_TOO_LARGE),
        (errors.MediaTypeError("x"), 415, ProblemType.UNSUPPORTED_MEDIA_TYPE),
        (errors.NotAcceptableError("x"), 406, ProblemType.NOT_ACCEPTABLE),
        (errors.UnknownModelError("x"), 404, ProblemType.NOT_FOUND),
        (errors.UnusableModelError("x"), 422, ProblemType.MODEL_UNUSABLE),
        (errors.ModelTooLargeError("x"), 422, ProblemType.MODEL_UNUSABLE),
        (errors.PrecisionUnavailableError("x"), 422, ProblemType.PRECISION_UNAVAILABLE),
        (errors.RequestTimedOutError("x"), 504, ProblemType.TIMED_OUT),
        (errors.JobCancelledError("x"), 409, ProblemType.CANCELLED),
        (errors.ClientGoneError("x"), 409, ProblemType.CANCELLED),
        (errors.GenerationFailedError("x"), 500, ProblemType.INFERENCE_FAILED),
        (errors.DeviceLostError("x"), 500, ProblemType.INFERENCE_FAILED),
    ],
)
def test_every_error_has_its_status(error: Exception, status: int, kind: ProblemType) -> None:
    problem = problem_for(error, "job")
    assert (problem.status, problem.type, problem.detail, problem.instance) == (
        status,
        kind,
        "x",
        "job",
    )


def test_field_errors_are_listed() -> None:
    fields = (FieldError(field="width", message="too wide"),)
    problem = problem_for(errors.InvalidFieldsError(fields))
    assert (problem.status, problem.errors) == (422, fields)


@pytest.mark.parametrize(
    ("error_class", "status"),
    [
        (errors.QueueFullError, 429),
        (errors.NotReadyError, 503),
        (errors.DiskFullError, 503),
        (errors.RegistryError, 503),
    ],
)
def test_unavailable_says_when_to_come_back(
    error_class: type[errors.UnavailableError], status: int
) -> None:
    response = problem_response(error_class("later", retry_after_seconds=7))
    assert response.status_code == status
    assert response.headers["retry-after"] == "7"
    assert response.headers["content-type"] == "application/problem+json"
    assert Problem.model_validate_json(response.body).detail == "later"


def test_an_unforeseen_error_keeps_its_text_to_itself() -> None:
    response = problem_response(KeyError("secret"))
    assert response.status_code == 500
    assert "secret" not in json.dumps(json.loads(response.body))


def test_every_leaf_error_is_mapped() -> None:
    unmapped = {errors.SettingsError, errors.StartError}  # never reach a request
    leaves = [
        error_class
        for error_class in map(vars(errors).get, errors.__all__)
        if isinstance(error_class, type) and not error_class.__subclasses__()
    ]
    for leaf in set(leaves) - unmapped:
        if issubclass(leaf, errors.UnavailableError):
            error = leaf("x", retry_after_seconds=1)
        elif leaf is errors.InvalidFieldsError:
            error = leaf([])
        else:
            error = leaf("x")
        assert problem_for(error).type is not ProblemType.INTERNAL, leaf
