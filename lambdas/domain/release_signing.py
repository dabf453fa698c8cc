"""Signing what is published, so that devices need not trust what lies between."""

import base64
import hashlib
from dataclasses import dataclass
from typing import IO

from nvfp4_ddim_contracts import ManifestSignature
from nvfp4_ddim_contracts.keys import public_key_key
from nvfp4_ddim_contracts.signatures import SIGNATURE_NAME, signed_message

from .ports import ManifestSigner

__all__ = ["ReleaseSigning"]

_READ_BYTES = 1 << 20
_PEM_LINE = 64


@dataclass(frozen=True)
class ReleaseSigning:
    """Signs manifests with one key."""

    signer: ManifestSigner

    def companions(self, manifest: IO[bytes], prefix: str) -> dict[str, str]:
        """What has to lie beside a manifest before it is published.

        Args:
            manifest: Its bytes.
            prefix: Of the artifact, with the slash at its end.

        Returns:
            Object keys to texts: the signature, and the public key that it is checked with.
        """
        public = self.signer.public_key()
        signature = ManifestSignature(
            key_id=hashlib.sha256(public).hexdigest(),
            # The field reads base64, as it stands in the file.
            signature=base64.b64encode(self.signer.sign(signed_message(_sha256(manifest)))),
        )
        return {
            public_key_key(signature.key_id): _pem(public),
            prefix + SIGNATURE_NAME: signature.model_dump_json(),
        }


def _sha256(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _pem(der: bytes) -> str:
    """RFC 7468: base64 in lines of 64 characters."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + _PEM_LINE] for start in range(0, len(text), _PEM_LINE)]
    return "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))
