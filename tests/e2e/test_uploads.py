"""A caller's file reaches the bucket as announced, and in no other way."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.e2e

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(1000)


def ask(api: httpx.Client) -> dict[str, Any]:
    body = {"content_type": "image/png", "size_bytes": len(PICTURE)}
    answer = api.post("/v1/uploads", json=body)
    assert answer.status_code == 201, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


def send(upload: dict[str, Any], content: bytes = PICTURE, **changes: str) -> httpx.Response:
    return httpx.post(
        upload["url"],
        data={**upload["fields"], **changes},
        files={"file": ("picture.png", content)},
        trust_env=False,
    )


def results(aws: Callable[[str], Any]) -> tuple[Any, str]:
    s3 = aws("s3")
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return s3, next(name for name in names if "results" in name)


def test_an_image_is_uploaded(api: httpx.Client, aws: Callable[[str], Any]) -> None:
    upload = ask(api)
    assert send(upload).status_code == 204
    s3, bucket = results(aws)
    stored = s3.get_object(Bucket=bucket, Key=upload["fields"]["key"])
    assert stored["Body"].read() == PICTURE
    assert stored["ContentType"] == "image/png"


def test_another_size_type_or_place_is_refused(
    api: httpx.Client, aws: Callable[[str], Any]
) -> None:
    upload = ask(api)
    key = upload["fields"]["key"]
    assert send(upload, PICTURE + b"x").status_code == 400
    assert send(upload, PICTURE[:-1]).status_code == 400
    assert send(upload, **{"Content-Type": "text/html"}).status_code == 403
    elsewhere = "results/" + key.rsplit("/", 1)[-1]
    assert send(upload, key=elsewhere).status_code == 403
    s3, bucket = results(aws)
    for place in (key, elsewhere):
        assert s3.list_objects_v2(Bucket=bucket, Prefix=place)["KeyCount"] == 0


def test_what_is_too_large_or_of_another_type_gets_no_place(api: httpx.Client) -> None:
    for wrong in ({"size_bytes": 10**9}, {"content_type": "text/html"}):
        body = {"content_type": "image/png", "size_bytes": 1, **wrong}
        answer = api.post("/v1/uploads", json=body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] in wrong
