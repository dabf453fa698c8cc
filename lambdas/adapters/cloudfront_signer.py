"""Links to results, signed for CloudFront."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.signers import CloudFrontSigner

from lambdas.domain.errors import ServiceError
from lambdas.domain.ports import SecretStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["CloudFrontUrls"]


@dataclass(frozen=True)
class CloudFrontUrls:
    """Implements `UrlSigner`; the private key is read at the first signature and kept."""

    secrets: SecretStore
    secret_id: str
    public_key_id: str
    base_url: str
    lifetime: timedelta

    def sign(self, key: str, now: datetime) -> tuple[str, datetime]:
        """A link to an object of the results bucket, and when it stops working."""
        # CloudFront counts whole seconds; what is told must not be later than what is signed.
        expires_at = (now + self.lifetime).replace(microsecond=0)
        signer = CloudFrontSigner(self.public_key_id, self._rsa_sha1)
        url = signer.generate_presigned_url(
            f"{self.base_url.rstrip('/')}/{quote(key)}", date_less_than=expires_at
        )
        return url, expires_at

    @cached_property
    def _private_key(self) -> "RSAPrivateKey":
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        pem = self.secrets.read(self.secret_id)
        key = load_pem_private_key(pem.encode(), password=None) if pem else None
        if not isinstance(key, RSAPrivateKey):
            raise ServiceError("The signing secret holds no RSA key. Deploy the stack again.")
        return key

    def _rsa_sha1(self, message: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA1

        # CloudFront's signed URLs are defined on SHA-1.
        return self._private_key.sign(message, PKCS1v15(), SHA1())  # noqa: S303
