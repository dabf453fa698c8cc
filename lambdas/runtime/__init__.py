"""A Lambda runtime that streams answers, which AWS's own Python runtime can't.

`start.sh` puts it in the place of the managed loop: docs/adr/0012-streaming-runtime.md.
"""

from .response import StreamedResponse, StreamingHandler

__all__ = ["StreamedResponse", "StreamingHandler"]
