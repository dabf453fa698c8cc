from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from local.cdn_front.signatures import refusal

RESOURCE = "http://127.0.0.1:4612/results/1/0.png"
PRIVATE = rsa.generate_private_key(65537, 2048)
PUBLIC = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
KEYS = {"K1": PUBLIC.decode()}
SIGNER = CloudFrontSigner("K1", lambda text: PRIVATE.sign(text, padding.PKCS1v15(), hashes.SHA1()))  # noqa: S303
NOW = 1_800_000_000.0


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def signed(seconds: float = 60) -> dict[str, str]:
    expires = datetime.fromtimestamp(NOW + seconds, UTC)
    return parameters(SIGNER.generate_presigned_url(RESOURCE, date_less_than=expires))


def test_botocores_canned_policy_is_accepted_until_it_expires() -> None:
    assert refusal(RESOURCE, signed(), KEYS, NOW) is None
    assert refusal(RESOURCE, signed(), KEYS, NOW + 59) is None
    assert refusal(RESOURCE, signed(), KEYS, NOW + 60) == "AccessDenied"


def test_a_custom_policy_with_a_wildcard_is_accepted() -> None:
    expires = datetime.fromtimestamp(NOW + 60, UTC)
    policy = SIGNER.build_policy("http://127.0.0.1:4612/results/*", expires)
    made = parameters(SIGNER.generate_presigned_url(RESOURCE, policy=policy))
    assert refusal(RESOURCE, made, KEYS, NOW) is None
    assert refusal("http://127.0.0.1:4612/models/x", made, KEYS, NOW) == "AccessDenied"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Signature": ""}, "MissingKey"),
        ({"Key-Pair-Id": ""}, "MissingKey"),
        ({"Key-Pair-Id": "K2"}, "InvalidKey"),
        ({"Expires": "1900000000"}, "AccessDenied"),
        ({"Expires": "soon"}, "AccessDenied"),
        ({"Signature": "AAAA"}, "AccessDenied"),
    ],
)
def test_altered_parameters_are_refused(change: dict[str, str], reason: str) -> None:
    assert refusal(RESOURCE, signed() | change, KEYS, NOW) == reason


def test_another_object_is_refused() -> None:
    assert refusal(RESOURCE.replace("0.png", "1.png"), signed(), KEYS, NOW) == "AccessDenied"


@given(st.text(max_size=400), st.text(max_size=60))
def test_garbage_is_refused_and_never_raises(signature: str, policy: str) -> None:
    made: dict[str, Any] = {"Key-Pair-Id": "K1", "Signature": signature, "Policy": policy}
    assert refusal(RESOURCE, made, KEYS, NOW) in {"AccessDenied", "MissingKey"}
