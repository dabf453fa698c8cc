"""`manifest.json.sig`: the detached signature of an artifact's manifest.

What is signed is a line of text that holds the manifest's SHA-256, not the manifest: it fits into
one call of a key management service, which signs 4096 bytes at most, and can be taken for nothing
else. A key's id is the SHA-256 of its DER SubjectPublicKeyInfo (RFC 5280): whoever knows the id
can check the key, wherever it comes from.
"""

from typing import Annotated, Literal

from pydantic import Base64Bytes, Field, StringConstraints

from ._base import Contract

__all__ = ["SIGNATURE_NAME", "KeyId", "ManifestSignature", "signed_message"]

SIGNATURE_NAME = "manifest.json.sig"

KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ManifestSignature(Contract):
    """Who vouches for a manifest."""

    format: Literal["nvfp4-ddim-signature"] = "nvfp4-ddim-signature"
    algorithm: Literal["ECDSA_SHA_256"] = "ECDSA_SHA_256"
    key_id: KeyId = Field(description="SHA-256 of the public key's DER SubjectPublicKeyInfo.")
    signature: Base64Bytes = Field(
        min_length=8, max_length=256, description="DER, of `signed_message`; base64 in JSON."
    )


def signed_message(artifact_sha256: str) -> bytes:
    """The bytes that are signed for the manifest with this SHA-256 (64 hexadecimal digits)."""
    return f"nvfp4-ddim-artifact sha256:{artifact_sha256}\n".encode("ascii")
