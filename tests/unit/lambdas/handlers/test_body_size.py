import json

import pytest

from lambdas.domain.errors import RequestTooLargeError
from lambdas.domain.validation import MAX_BODY_BYTES
from lambdas.handlers._proxy import ApiRequest, ProxyEvent
from nvfp4_ddim_contracts import GenerationRequest, JobRequest


def _request(body: str) -> ApiRequest:
    event = {"path": "/v1/jobs", "requestContext": {}, "body": body}
    return ApiRequest(ProxyEvent.model_validate(event), 10)


def test_the_longest_request_fits_however_it_is_escaped() -> None:
    longest = "\N{WATERMELON}" * 2_000
    body = json.dumps({"prompt": longest, "negative_prompt": longest})
    assert len(body) > 40_000
    request = _request(body).body(JobRequest).request
    assert isinstance(request, GenerationRequest)
    assert request.prompt == longest


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_larger_body_is_refused_unread(letter: str) -> None:
    body = letter * (MAX_BODY_BYTES // len(letter.encode()) + 1)
    with pytest.raises(RequestTooLargeError, match="65,536"):
        _request(body).body(JobRequest)
