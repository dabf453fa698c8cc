"""How an alarm names its entry in docs/runbook.md."""

import re

__all__ = ["RUNBOOK", "alarm_description", "anchor"]

RUNBOOK = "docs/runbook.md"


def anchor(alarm: str) -> str:
    """The heading's anchor: `OldestRequest` has the entry "Oldest request", #oldest-request."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", alarm).lower()


def alarm_description(text: str, entry: str) -> str:
    """What an alarm's message says: a sentence, and where to read on.

    Args:
        text: The sentence.
        entry: The entry's name, as an alarm's id is written.
    """
    return f"{text} What to do: {RUNBOOK}#{anchor(entry)}"
