"""Event filtering patterns of event source mappings.

Source: AWS Lambda developer guide, "Filter rule syntax"; matching itself is EventBridge's, which
moto implements.
"""

import json
from typing import Any

from moto.events.models import EventPattern, EventPatternParser

__all__ = ["EventFilter"]


class EventFilter:
    """Keeps an event if any of the patterns matches; without patterns, keeps all."""

    def __init__(self, criteria: dict[str, Any] | None) -> None:
        filters = (criteria or {}).get("Filters", [])
        self._patterns = [_pattern(each["Pattern"]) for each in filters]

    def keeps(self, event: dict[str, Any]) -> bool:
        """Whether the function gets `event`."""
        if not self._patterns:
            return True
        return any(pattern.matches_event(event) for pattern in self._patterns)


def _pattern(pattern: Any) -> Any:
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    return EventPattern(text, EventPatternParser(text).parse())
