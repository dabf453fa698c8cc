"""Results and artifacts at the CDN's addresses."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from local.deploy import Deployment

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def link(api: httpx.Client, finished: Callable[[str], dict[str, Any]]) -> str:
    """A signed link to a finished picture."""
    body = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2}
    job = finished(api.post("/v1/jobs", json=body).json()["id"])
    url: str = job["images"][0]["url"]
    return url


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False)


def test_a_signed_link_gives_the_picture_whole_or_in_part(link: str) -> None:
    whole = get(link)
    assert whole.status_code == 200
    assert whole.headers["content-type"] == "image/png"
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = get(link, Range="bytes=0-7")
    assert part.status_code == 206
    assert part.content == whole.content[:8] == b"\x89PNG\r\n\x1a\n"


def test_unsigned_and_altered_links_are_refused(link: str) -> None:
    for refused in (
        link.split("?", maxsplit=1)[0],
        re.sub(r"Expires=\d+", f"Expires={int(time.time()) + 10**6}", link),
        link.replace("/0.png", "/1.png"),
        re.sub(r"Key-Pair-Id=\w+", "Key-Pair-Id=K00000000", link),
    ):
        answer = get(refused)
        assert answer.status_code == 403, refused
        assert b"<Error><Code>" in answer.content


def test_an_expired_link_is_refused(link: str, aws: Callable[[str], Any]) -> None:
    secrets = aws("secretsmanager")
    names = [each["ARN"] for each in secrets.list_secrets()["SecretList"]]
    pem = secrets.get_secret_value(SecretId=names[0])["SecretString"]
    key: Any = serialization.load_pem_private_key(pem.encode(), None)

    def sign(message: bytes) -> bytes:
        signature: bytes = key.sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        return signature

    key_id = re.findall(r"Key-Pair-Id=(\w+)", link)[0]
    signer = CloudFrontSigner(key_id, sign)
    address = link.split("?", maxsplit=1)[0]

    def signed(expires: float) -> str:
        policy = signer.build_policy(address, datetime.fromtimestamp(expires, UTC))
        return str(signer.generate_presigned_url(address, policy=policy))

    assert get(signed(time.time() + 60)).status_code == 200
    assert get(signed(time.time() - 60)).status_code == 403


def test_the_console_and_its_configuration_are_served(deployment: Deployment) -> None:
    page = get(deployment.console_url)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    config = get(f"{deployment.cdn_url}/config.json").json()
    assert config["apiUrl"] == deployment.api_url


def test_devices_find_the_live_artifact(api: httpx.Client, deployment: Deployment) -> None:
    (model,) = api.get("/v1/models").json()["data"]
    live = get(f"{deployment.cdn_url}/models/{model['id']}/live.json").json()
    assert live["artifact_sha256"] == model["artifact_sha256"]
    address = f"{deployment.cdn_url}/models/{model['id']}/{model['artifact_sha256']}"
    manifest = get(f"{address}/manifest.json")
    assert "immutable" in manifest.headers["cache-control"]
    for file in json.loads(manifest.content)["files"]:
        head = httpx.head(f"{address}/{file['path']}", trust_env=False)
        assert int(head.headers["content-length"]) == file["bytes"]
