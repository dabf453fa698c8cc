from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nvfp4_ddim_edge import Puller, PullRequest, read_public_key
from nvfp4_ddim_edge.errors import UntrustedError
from tests.support_edge import CdnServer, Publisher, make_files

MakePuller = Callable[..., Puller]


@pytest.fixture
def request_(tmp_path: Path) -> PullRequest:
    return PullRequest(name="m", target=tmp_path / "m")


def test_the_first_key_is_pinned_and_another_refused(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    first, second = Publisher(), Publisher()
    server.publish(first, make_files(1))
    report = puller().pull(request_)
    assert (report.key_id, report.key_was_pinned) == (first.key_id, True)
    server.publish(first, make_files(2))
    assert not puller().pull(request_).key_was_pinned
    server.publish(second, make_files(3))
    with pytest.raises(UntrustedError, match="somebody may stand between"):
        puller().pull(request_)
    keys = replace(puller().keys, given=read_public_key(second.pem, "test"))
    assert puller(keys=keys).pull(request_).key_id == second.key_id


def test_a_given_key_is_the_only_one(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    server.publish(Publisher(), make_files())
    keys = replace(puller().keys, given=read_public_key(Publisher().pem, "test"))
    with pytest.raises(UntrustedError, match="--public-key"):
        puller(keys=keys).pull(request_)


def test_nothing_is_pinned_by_a_signature_that_does_not_hold(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    publisher = Publisher()
    sha256 = server.publish(publisher, make_files())
    server.files[f"models/m/{sha256}/manifest.json.sig"] = publisher.sign("0" * 64)
    with pytest.raises(UntrustedError, match="does not hold"):
        puller().pull(request_)
    assert not puller().keys.directory.exists()
    assert not request_.target.exists()


def test_a_key_under_another_keys_id_is_refused(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    publisher = Publisher()
    server.publish(publisher, make_files())
    server.files[f"keys/{publisher.key_id}.pem"] = Publisher().pem
    with pytest.raises(UntrustedError, match="another key under that id"):
        puller().pull(request_)


@pytest.mark.parametrize("signature", [None, b"", b"{}", b"[]", b'{"key_id": "../x"}'])
def test_without_a_signature_nothing_is_installed(
    server: CdnServer, puller: MakePuller, request_: PullRequest, signature: bytes | None
) -> None:
    sha256 = server.publish(Publisher(), make_files())
    path = f"models/m/{sha256}/manifest.json.sig"
    if signature is None:
        del server.files[path]
    else:
        server.files[path] = signature
    with pytest.raises(UntrustedError):
        puller().pull(request_)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        rsa.generate_private_key(65_537, 2048).public_key(),
    ],
)
def test_only_p256_keys_are_keys(key: ec.EllipticCurvePublicKey) -> None:
    with pytest.raises(UntrustedError, match="P-256"):
        read_public_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "x")
    with pytest.raises(UntrustedError, match="P-256"):
        read_public_key(b"nonsense", "x")
