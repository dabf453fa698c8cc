"""Signatures by a key of KMS: P-256, ECDSA with SHA-256."""

from dataclasses import dataclass
from typing import Any

__all__ = ["KmsSigner"]

_ALGORITHM = "ECDSA_SHA_256"


@dataclass(frozen=True)
class KmsSigner:
    """Implements `ManifestSigner`."""

    client: Any
    key_arn: str

    def public_key(self) -> bytes:
        """The public key as DER SubjectPublicKeyInfo."""
        key: bytes = self.client.get_public_key(KeyId=self.key_arn)["PublicKey"]
        return key

    def sign(self, message: bytes) -> bytes:
        """The DER signature of at most 4096 bytes."""
        answer = self.client.sign(
            KeyId=self.key_arn, Message=message, MessageType="RAW", SigningAlgorithm=_ALGORITHM
        )
        signature: bytes = answer["Signature"]
        return signature
