"""What the CDN says is published: pointer, manifest and signature, each checked by the next."""

import hashlib
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from nvfp4_ddim_contracts.generation import ModelName
from nvfp4_ddim_contracts.keys import (
    live_pointer_key,
    manifest_key,
    public_key_key,
    signature_key,
)
from nvfp4_ddim_contracts.models import LiveModel
from nvfp4_ddim_contracts.signatures import KeyId
from nvfp4_ddim_optimizer.errors import InvalidInputError

from .errors import CdnError, NotPublishedError, TamperedError, UntrustedError
from .ports import Cdn
from .trust import PinnedKeys, Verdict

__all__ = ["SignedManifest", "find_manifest"]

_MAX_SMALL_BYTES = 64 * 1024
_MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_NAME: TypeAdapter[str] = TypeAdapter(ModelName)
_SHA256: TypeAdapter[str] = TypeAdapter(KeyId)


@dataclass(frozen=True)
class SignedManifest:
    """A manifest whose signature holds; its content is still to be read."""

    artifact_sha256: str
    body: bytes
    signature: bytes
    verdict: Verdict


def find_manifest(
    cdn: Cdn, keys: PinnedKeys, name: str, artifact_sha256: str | None
) -> SignedManifest:
    """Fetch a manifest and check who vouches for it.

    Args:
        cdn: Where it is published.
        keys: Who may vouch.
        name: The model.
        artifact_sha256: The artifact; None takes the one that is live.

    Raises:
        InvalidInputError: The name or the checksum can't be one.
        EdgeError: It is not published, altered or not signed by a trusted key.
    """
    try:
        _NAME.validate_python(name)
        wanted = _SHA256.validate_python(artifact_sha256) if artifact_sha256 else None
    except ValidationError as error:
        raise InvalidInputError(
            f"{name!r} is no model's name, or {artifact_sha256!r} no SHA-256"
        ) from error
    sha256 = wanted or _live(cdn, name)
    body = cdn.read(manifest_key(name, sha256), _MAX_MANIFEST_BYTES)
    if hashlib.sha256(body).hexdigest() != sha256:
        raise TamperedError(
            f"The manifest of {name} was altered on its way: its SHA-256 is not {sha256}. Nothing "
            "was installed. Try again over another network"
        )
    try:
        signature = cdn.read(signature_key(name, sha256), _MAX_SMALL_BYTES)
    except NotPublishedError:
        raise UntrustedError(
            f"The artifact {sha256} of {name} is not signed. Publish it with a stack that signs"
        ) from None
    verdict = keys.verify(
        signature, sha256, lambda key_id: cdn.read(public_key_key(key_id), _MAX_SMALL_BYTES)
    )
    return SignedManifest(sha256, body, signature, verdict)


def _live(cdn: Cdn, name: str) -> str:
    pointer = cdn.read(live_pointer_key(name), _MAX_SMALL_BYTES)
    try:
        live = LiveModel.model_validate_json(pointer)
        return _SHA256.validate_python(live.artifact_sha256)
    except ValidationError as error:
        raise CdnError(
            f"{cdn.origin} has no valid pointer to the live artifact of {name}. Is this the CDN's "
            "address, and this library as new as the stack?"
        ) from error
