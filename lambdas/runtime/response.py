"""What a streaming handler answers, and its form on the wire.

Source: API Gateway developer guide, "Set up a Lambda proxy integration with payload response
streaming": the answer's metadata as JSON, eight zero bytes, then the body as it comes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["INTEGRATION_MEDIA_TYPE", "StreamedResponse", "StreamingHandler"]

INTEGRATION_MEDIA_TYPE = "application/vnd.awslambda.http-integration-response"
_DELIMITER = bytes(8)


@dataclass(frozen=True)
class StreamedResponse:
    """An HTTP answer whose body is made while it is sent."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterable[bytes]

    def wire(self) -> Iterator[bytes]:
        """Metadata, delimiter and body."""
        metadata = {"statusCode": self.status, "headers": dict(self.headers)}
        # json escapes control characters, so that no zero byte comes before the delimiter.
        yield json.dumps(metadata).encode() + _DELIMITER
        yield from self.chunks


StreamingHandler = Callable[[dict[str, Any], LambdaContext], StreamedResponse]
