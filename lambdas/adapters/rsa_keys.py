"""RSA key pairs as CloudFront wants them: 2048 bits, PEM."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

__all__ = ["RsaKeyPairs"]

_PUBLIC_EXPONENT = 65_537
_KEY_BITS = 2_048


class RsaKeyPairs:
    """Implements `KeyPairs`."""

    def generate(self) -> str:
        """A new private key."""
        key = generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=_KEY_BITS)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        return pem.decode()

    def public_key(self, private_pem: str) -> str | None:
        """The public key that belongs to a private one, or None if the text is not such a key."""
        try:
            key = load_pem_private_key(private_pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return None
        if not isinstance(key, RSAPrivateKey) or key.key_size != _KEY_BITS:
            return None
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem.decode()
