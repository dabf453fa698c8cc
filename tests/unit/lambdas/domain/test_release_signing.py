import hashlib
import io

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from lambdas.domain.publishing import FilePublisher, Publication
from lambdas.domain.release_signing import ReleaseSigning
from nvfp4_ddim_contracts import ManifestSignature
from nvfp4_ddim_contracts.signatures import signed_message

MANIFEST = b"{}" * 2_000_000


class Signer:
    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        assert len(message) <= 4096
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))


def test_the_signature_holds_for_the_manifest_and_no_other() -> None:
    signer = Signer()
    texts = ReleaseSigning(signer).companions(io.BytesIO(MANIFEST), "models/m/abc/")
    signature = ManifestSignature.model_validate_json(texts["models/m/abc/manifest.json.sig"])
    assert signature.key_id == hashlib.sha256(signer.public_key()).hexdigest()
    key = load_pem_public_key(texts[f"keys/{signature.key_id}.pem"].encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    message = signed_message(hashlib.sha256(MANIFEST).hexdigest())
    key.verify(signature.signature, message, ec.ECDSA(hashes.SHA256()))
    other = signed_message(hashlib.sha256(MANIFEST + b"x").hexdigest())
    with pytest.raises(InvalidSignature):
        key.verify(signature.signature, other, ec.ECDSA(hashes.SHA256()))


class Archive:
    def names(self) -> tuple[str, ...]:
        return ("manifest.json", "weights")

    def size(self, name: str) -> int:
        return 2

    def open(self, name: str) -> io.BytesIO:
        return io.BytesIO(b"{}")


class Files:
    def __init__(self) -> None:
        self.written: list[str] = []
        self.kept: frozenset[str] = frozenset()

    def upload(self, key: str, stream: object, content_type: str, cache_control: str) -> None:
        self.written.append(key.split("/", maxsplit=1)[0] if key.startswith("keys/") else key)

    def read(self, key: str) -> bytes | None:
        return None

    def delete(self, key: str) -> None:
        raise AssertionError(key)

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        self.kept = keep


def test_the_signature_is_there_before_the_manifest_and_survives_the_clearing() -> None:
    files = Files()
    publication = Publication(prefix="p/", last_name="manifest.json", pointer_key="live.json")
    publisher = FilePublisher(files, lambda: None, ReleaseSigning(Signer()))
    publisher.publish(Archive(), publication)
    assert files.written == [
        "p/weights", "keys", "p/manifest.json.sig", "p/manifest.json", "live.json"
    ]  # fmt: skip
    assert "p/manifest.json.sig" in files.kept
