"""Which keys may vouch for artifacts, and whether one does.

A key given by the user is the only one trusted. Without one, the first key that a CDN shows is
pinned for its address, as SSH does with hosts; another key is refused from then on.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from pydantic import ValidationError

from nvfp4_ddim_contracts import ManifestSignature
from nvfp4_ddim_contracts.signatures import SIGNATURE_NAME, signed_message

from .errors import UntrustedError
from .partial_file import replace_text

__all__ = ["PinnedKeys", "TrustedKey", "Verdict", "default_pin_directory", "read_public_key"]

_VENDOR = "nvfp4-ddim"
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class TrustedKey:
    """A public key and its id."""

    key: EllipticCurvePublicKey
    key_id: str

    def check(self, signature: ManifestSignature, artifact_sha256: str) -> None:
        """Check a signature made by this key.

        Raises:
            UntrustedError: It does not hold.
        """
        message = signed_message(artifact_sha256)
        try:
            self.key.verify(signature.signature, message, ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise UntrustedError(
                f"The signature of the manifest {artifact_sha256} does not hold: the manifest or "
                "its signature was altered. Nothing was installed; tell the publisher"
            ) from None


@dataclass(frozen=True)
class Verdict:
    """A signature that holds: by which key, and whether that key was pinned by it."""

    key_id: str
    newly_pinned: bool


@dataclass(frozen=True)
class PinnedKeys:
    """The keys trusted for one CDN.

    Attributes:
        directory: Where a key is pinned: one PEM file of this CDN.
        origin: The CDN.
        given: The only key that is trusted, where the user named one.
    """

    directory: Path
    origin: str
    given: TrustedKey | None = None

    def verify(
        self, signature_json: bytes, artifact_sha256: str, fetch_key: Callable[[str], bytes]
    ) -> Verdict:
        """Check the signature of a manifest.

        Args:
            signature_json: `manifest.json.sig`.
            artifact_sha256: SHA-256 of the manifest.
            fetch_key: Gives the PEM of a key id; asked on first use only.

        Returns:
            Who signed.

        Raises:
            UntrustedError: The signature does not hold, or its key is not the trusted one.
        """
        signature = _parse(signature_json)
        trusted = self.given or self._pinned()
        if trusted is None:
            key = read_public_key(fetch_key(signature.key_id), self.origin)
            _require(key, signature, "the CDN shows another key under that id")
            key.check(signature, artifact_sha256)
            self._pin(key)
            return Verdict(key.key_id, newly_pinned=True)
        where = "--public-key" if self.given else str(self._file)
        _require(
            trusted,
            signature,
            f"the trusted key is {trusted.key_id} ({where}). If the publisher announced a new "
            "key, give it by --public-key; if not, somebody may stand between you and the CDN",
        )
        trusted.check(signature, artifact_sha256)
        return Verdict(trusted.key_id, newly_pinned=False)

    @property
    def _file(self) -> Path:
        return self.directory / f"{_UNSAFE.sub('_', self.origin)}.pem"

    def _pinned(self) -> TrustedKey | None:
        try:
            return read_public_key(self._file.read_bytes(), str(self._file))
        except FileNotFoundError:
            return None

    def _pin(self, key: TrustedKey) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        pem = key.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        replace_text(self._file, pem.decode("ascii"))


def read_public_key(pem: bytes, source: str) -> TrustedKey:
    """Read a public key.

    Args:
        pem: PEM, SubjectPublicKeyInfo.
        source: Where it comes from, for the error.

    Raises:
        UntrustedError: It is no public key on the curve P-256.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise UntrustedError(f"{source} is no public key (PEM, curve P-256)")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return TrustedKey(key, hashlib.sha256(der).hexdigest())


def default_pin_directory(environ: Mapping[str, str] | None = None) -> Path:
    """`nvfp4-ddim/keys` in `XDG_CONFIG_HOME`, or in `~/.config` where that is not set.

    Source: XDG Base Directory Specification 0.8.
    """
    given = (os.environ if environ is None else environ).get("XDG_CONFIG_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".config"
    return base / _VENDOR / "keys"


def _parse(signature_json: bytes) -> ManifestSignature:
    try:
        return ManifestSignature.model_validate_json(signature_json)
    except ValidationError as error:
        raise UntrustedError(f"{SIGNATURE_NAME} is no signature: {error}") from error


def _require(key: TrustedKey, signature: ManifestSignature, otherwise: str) -> None:
    if key.key_id != signature.key_id:
        raise UntrustedError(f"The manifest is signed by key {signature.key_id}, but {otherwise}")
