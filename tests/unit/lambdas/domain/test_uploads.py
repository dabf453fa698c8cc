"""Places for callers' files."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from lambdas.domain.errors import ServiceStoppedError, UploadNotFoundError
from lambdas.domain.records import StoredUpload
from lambdas.domain.uploads import UploadIssuer, find_upload
from nvfp4_ddim_contracts.keys import upload_key
from nvfp4_ddim_contracts.uploads import (
    MAX_UPLOAD_BYTES,
    UPLOAD_SECONDS,
    UploadRequest,
)

REQUEST = UploadRequest(content_type="image/png", size_bytes=1234)
OWNER, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def issuer(world: SimpleNamespace) -> UploadIssuer:
    return UploadIssuer(world.uploads, world.clock, world.ids, world.gate)


def test_a_form_is_bound_to_owner_type_size_and_time(
    world: SimpleNamespace, issuer: UploadIssuer
) -> None:
    upload = issuer.issue(OWNER, REQUEST)
    assert upload.fields == {
        "key": f"uploads/{OWNER}/{upload.id}",
        "type": "image/png",
        "size": "1234",
        "for": str(UPLOAD_SECONDS),
    }
    assert upload.expires_at == world.clock.now() + timedelta(seconds=UPLOAD_SECONDS)


def test_every_upload_has_a_place_of_its_own(issuer: UploadIssuer) -> None:
    assert issuer.issue(OWNER, REQUEST).id != issuer.issue(OWNER, REQUEST).id


def test_the_owner_finds_the_file_and_nobody_else(
    world: SimpleNamespace, issuer: UploadIssuer
) -> None:
    upload = issuer.issue(OWNER, REQUEST)
    with pytest.raises(UploadNotFoundError, match="send the file"):
        find_upload(world.uploads, OWNER, upload.id)  # nothing was sent yet
    key = upload_key(OWNER, upload.id)
    world.uploads.items[key] = StoredUpload(key, "image/png", 1234)
    assert find_upload(world.uploads, OWNER, upload.id).key == key
    with pytest.raises(UploadNotFoundError):
        find_upload(world.uploads, OTHER, upload.id)


@pytest.mark.parametrize("crooked", ["../{owner}/{id}", "{id}\n", "{ID}", "", "{id}0", "x/{id}"])
def test_an_id_is_no_path(world: SimpleNamespace, issuer: UploadIssuer, crooked: str) -> None:
    upload_id = issuer.issue(OWNER, REQUEST).id[:-1] + "a"
    named = crooked.format(owner=OWNER, id=upload_id, ID=upload_id.upper())
    # Whatever key the id would lead to, there is something.
    key = upload_key(OTHER, named)
    world.uploads.items[key] = StoredUpload(key, "image/png", 1234)
    with pytest.raises(UploadNotFoundError):
        find_upload(world.uploads, OTHER, named)


@pytest.mark.parametrize(
    "wrong",
    [
        {"content_type": "text/html"},
        {"content_type": "image/svg+xml"},
        {"size_bytes": 0},
        {"size_bytes": MAX_UPLOAD_BYTES + 1},
        {"url": "https://elsewhere.example/picture.png"},
    ],
)
def test_other_types_sizes_and_addresses_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UploadRequest.model_validate({"content_type": "image/png", "size_bytes": 1, **wrong})


def test_a_stopped_service_gives_no_place_for_a_file(
    world: SimpleNamespace, issuer: UploadIssuer
) -> None:
    world.switch.stop("We move house.")
    with pytest.raises(ServiceStoppedError, match="We move house"):
        issuer.issue(OWNER, REQUEST)
    world.switch.resume()
    world.clock.seconds = 10
    assert issuer.issue(OWNER, REQUEST).url
