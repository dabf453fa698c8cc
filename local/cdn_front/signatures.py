"""CloudFront's signed URLs: canned and custom policies, RSA with SHA-1.

Source: Amazon CloudFront developer guide, "Use signed URLs". SHA-1 is what CloudFront specifies.
"""

import base64
import fnmatch
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["SIGNING_PARAMETERS", "refusal"]

SIGNING_PARAMETERS = ("Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm")
_FROM_URL_SAFE = str.maketrans("-_~", "+=/")


def refusal(
    resource: str, parameters: Mapping[str, str], keys: Mapping[str, str], now: float
) -> str | None:
    """Why a request is refused, or None if its signature holds.

    Args:
        resource: The URL as it was signed, without CloudFront's own parameters.
        parameters: Query parameters.
        keys: Trusted public keys as PEM, by their id.
        now: Unix seconds.

    Returns:
        CloudFront's error code, such as `MissingKey`, `AccessDenied`.
    """
    key_id, signature = parameters.get("Key-Pair-Id"), parameters.get("Signature")
    if not key_id or not signature:
        return "MissingKey"
    if key_id not in keys:
        return "InvalidKey"
    policy = _policy(resource, parameters)
    if policy is None or not _verifies(keys[key_id], policy, signature):
        return "AccessDenied"
    return None if _allows(policy, resource, now) else "AccessDenied"


def _policy(resource: str, parameters: Mapping[str, str]) -> bytes | None:
    if "Policy" in parameters:
        return _decode(parameters["Policy"])
    expires = parameters.get("Expires", "")
    if not expires.isdecimal():
        return None
    # The canned policy is this text, to the byte.
    return (
        f'{{"Statement":[{{"Resource":"{resource}",'
        f'"Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}}}]}}'
    ).encode()


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.translate(_FROM_URL_SAFE), validate=True)
    except ValueError:
        return None


def _verifies(public_key_pem: str, policy: bytes, signature: str) -> bool:
    key = serialization.load_pem_public_key(public_key_pem.encode())
    raw = _decode(signature)
    if raw is None or not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(raw, policy, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    except InvalidSignature:
        return False
    return True


def _allows(policy: bytes, resource: str, now: float) -> bool:
    try:
        statement = json.loads(policy)["Statement"][0]
        condition: dict[str, Any] = statement["Condition"]
        pattern = str(statement["Resource"]).replace("[", "[[]")
        if not fnmatch.fnmatchcase(resource, pattern):
            return False
        starts = condition.get("DateGreaterThan", {}).get("AWS:EpochTime", 0)
        return bool(starts <= now < condition["DateLessThan"]["AWS:EpochTime"])
    except (KeyError, IndexError, TypeError, ValueError):
        return False
