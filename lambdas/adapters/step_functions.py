"""Tokens of Step Functions."""

from dataclasses import dataclass
from typing import Any

__all__ = ["StepFunctionsTokens"]


@dataclass(frozen=True)
class StepFunctionsTokens:
    """Implements `TaskTokens`."""

    client: Any

    def succeed(self, token: str, output: str) -> bool:
        """Send a token back with JSON; whether somebody still waited for it."""
        errors = self.client.exceptions
        try:
            self.client.send_task_success(taskToken=token, output=output)
        except (errors.TaskDoesNotExist, errors.TaskTimedOut, errors.InvalidToken):
            return False
        return True
