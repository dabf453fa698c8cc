"""The front passes on a function's bytes as they come."""

from collections.abc import Iterator

import pytest

from local.api_front.model import function_arn
from local.api_front.refusals import Refusal
from local.api_front.streaming import is_streaming, streamed_response

ARN = "arn:aws:lambda:us-east-1:123456789012:function:events"
BASE = f"arn:aws:apigateway:us-east-1:lambda:path/2021-11-15/functions/{ARN}"
METADATA = b'{"statusCode": 404, "headers": {"Content-Type": "text/plain"}}' + bytes(8)


def test_the_uri_tells_a_stream() -> None:
    assert is_streaming(f"{BASE}/response-streaming-invocations")
    assert not is_streaming(f"{BASE}/invocations")
    assert function_arn(f"{BASE}/response-streaming-invocations") == ARN
    assert function_arn(f"{BASE}/invocations") == ARN


@pytest.mark.parametrize("cut", [1, 30, len(METADATA) - 4, len(METADATA), len(METADATA) + 2])
def test_metadata_ends_wherever_chunks_do(cut: int) -> None:
    whole = METADATA + b"body\0\0\0\0\0\0\0\0of it"
    response = streamed_response(iter([whole[:cut], whole[cut:]]))
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/plain")
    assert response.get_data() == b"body\0\0\0\0\0\0\0\0of it"


def test_the_body_is_not_read_ahead() -> None:
    read = []

    def chunks() -> Iterator[bytes]:
        for part in (METADATA, b"one", b"two"):
            read.append(part)
            yield part

    response = streamed_response(chunks())
    assert read == [METADATA]
    assert next(iter(response.response)) == b"one"
    assert b"two" not in read


@pytest.mark.parametrize(
    "chunks",
    [[], [b"no delimiter"], [b"no json" + bytes(8)], [b"[]" + bytes(8)], [b"x" * 20_000]],
)
def test_anything_else_is_no_answer(chunks: list[bytes]) -> None:
    with pytest.raises(Refusal):
        streamed_response(iter(chunks))
