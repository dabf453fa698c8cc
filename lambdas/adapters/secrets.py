"""Secrets Manager."""

from dataclasses import dataclass
from typing import Any

__all__ = ["SecretsManagerStore"]


@dataclass(frozen=True)
class SecretsManagerStore:
    """Implements `SecretStore`."""

    client: Any

    def read(self, secret_id: str) -> str | None:
        """The current value, or None where it was never set."""
        try:
            value: str | None = self.client.get_secret_value(SecretId=secret_id).get("SecretString")
        except self.client.exceptions.ResourceNotFoundException:
            return None
        return value

    def write(self, secret_id: str, value: str) -> None:
        """Make `value` the current one."""
        self.client.put_secret_value(SecretId=secret_id, SecretString=value)
