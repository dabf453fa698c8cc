"""Uploads in moto: the form works, and the file is found by its owner only."""

from types import SimpleNamespace
from typing import Any

import pytest
import requests

from lambdas.adapters.s3_uploads import S3Uploads
from lambdas.domain.errors import UploadNotFoundError
from lambdas.domain.uploads import find_upload
from nvfp4_ddim_contracts import Upload
from tests.integration.lambdas.conftest import OWNER, PICTURE, RESULTS

UPLOADS = "/v1/uploads"


def test_a_file_is_uploaded_and_found_again(cloud: SimpleNamespace, world: SimpleNamespace) -> None:
    body = {"content_type": "image/png", "size_bytes": len(PICTURE)}
    answer = world.invoke("create_upload", UPLOADS, body=body)
    assert answer.status == 201
    upload = Upload.model_validate(answer.body)
    # The bucket's own region is named: S3's global address would redirect a browser's form.
    assert upload.url == f"https://{RESULTS}.s3.eu-central-1.amazonaws.com/"
    assert upload.fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    store = S3Uploads(cloud.s3, RESULTS)
    with pytest.raises(UploadNotFoundError):
        find_upload(store, OWNER, upload.id)
    sent = requests.post(upload.url, data=upload.fields, files={"file": PICTURE}, timeout=5)
    assert sent.status_code == 204
    found = find_upload(store, OWNER, upload.id)
    assert (found.content_type, found.size_bytes) == ("image/png", len(PICTURE))
    with pytest.raises(UploadNotFoundError):
        find_upload(store, "f" * 16, upload.id)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"content_type": "text/html"}, "content_type"),
        ({"size_bytes": 10**9}, "size_bytes"),
        ({"url": "https://elsewhere.example/"}, "url"),
    ],
)
def test_a_wrong_field_is_named(world: SimpleNamespace, wrong: dict[str, Any], field: str) -> None:
    body = {"content_type": "image/png", "size_bytes": 1, **wrong}
    answer = world.invoke("create_upload", UPLOADS, body=body)
    assert answer.status == 400
    assert answer.body["errors"][0]["field"] == field


def test_without_an_owner_there_is_no_place(world: SimpleNamespace) -> None:
    body = {"content_type": "image/png", "size_bytes": 1}
    assert world.invoke("create_upload", UPLOADS, body=body, owner=None).status == 401
