"""The key pair that signs links to results."""

from dataclasses import dataclass

from .errors import ResourceError
from .ports import KeyPairs, SecretStore

__all__ = ["SigningKeyService"]


@dataclass(frozen=True)
class SigningKeyService:
    """Keeps a private key in a secret and gives out nothing but the public one."""

    secrets: SecretStore
    key_pairs: KeyPairs

    def ensure(self, secret_id: str) -> str:
        """Make a key pair unless the secret already holds one.

        Args:
            secret_id: Name or ARN of the secret.

        Returns:
            The public key as PEM.

        Raises:
            ResourceError: The new key can't be used.
        """
        held = self.secrets.read(secret_id)
        if held is not None and (public := self.key_pairs.public_key(held)) is not None:
            return public
        private = self.key_pairs.generate()
        public = self.key_pairs.public_key(private)
        if public is None:
            raise ResourceError("The new key pair can't be read back.")
        self.secrets.write(secret_id, private)
        return public
