import base64
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lambdas.adapters.cloudfront_signer import CloudFrontUrls
from lambdas.adapters.rsa_keys import RsaKeyPairs
from lambdas.domain.errors import ServiceError

NOW = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)


def _urls(secret: str | None) -> tuple[CloudFrontUrls, list[str]]:
    reads: list[str] = []

    def read(secret_id: str) -> str | None:
        reads.append(secret_id)
        return secret

    urls = CloudFrontUrls(
        secrets=SimpleNamespace(read=read, write=None),
        secret_id="secret",
        public_key_id="K1",
        base_url="https://cdn.example/",
        lifetime=timedelta(hours=1),
    )
    return urls, reads


def test_links_verify_as_cloudfront_verifies_them() -> None:
    private = RsaKeyPairs().generate()
    urls, reads = _urls(private)
    url, expires_at = urls.sign("results/j/0.png", NOW)
    assert expires_at == datetime(2026, 1, 1, 13, 0, 0, tzinfo=UTC)
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query["Key-Pair-Id"] == "K1"
    assert int(query["Expires"]) == int(expires_at.timestamp())
    policy = {
        "Statement": [
            {
                "Resource": "https://cdn.example/results/j/0.png",
                "Condition": {"DateLessThan": {"AWS:EpochTime": int(query["Expires"])}},
            }
        ]
    }
    signature = query["Signature"].translate(str.maketrans("-_~", "+=/"))
    public = RsaKeyPairs().public_key(private)
    assert public is not None
    load_pem_public_key(public.encode()).verify(
        base64.b64decode(signature),
        json.dumps(policy, separators=(",", ":")).encode(),
        PKCS1v15(),
        SHA1(),  # noqa: S303 - CloudFront's own
    )
    urls.sign("results/j/1.png", NOW)
    assert reads == ["secret"]


@pytest.mark.parametrize("secret", [None, ""])
def test_a_secret_without_a_key_is_told(secret: str | None) -> None:
    urls, _ = _urls(secret)
    with pytest.raises(ServiceError, match="Deploy"):
        urls.sign("k", NOW)


def test_other_texts_are_no_keys() -> None:
    assert RsaKeyPairs().public_key("a generated password") is None
