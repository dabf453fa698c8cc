"""Two people and a program use the deployed app; each sees their own jobs, and nobody else's."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from local.deploy import Deployment
from local.settings import LocalSettings
from nvfp4_ddim_contracts import Problem
from tests.e2e.people import Person, invite, sign_in

pytestmark = pytest.mark.e2e

REQUEST = {"prompt": "red heart", "preset": "fast", "num_inference_steps": 2}


@pytest.fixture(scope="module")
def people(
    aws: Callable[[str], Any], deployment: Deployment, local_settings: LocalSettings
) -> tuple[Person, Person]:
    url = f"http://127.0.0.1:{local_settings.sign_in_port}"
    cognito = aws("cognito-idp")
    emails = ("ada@example.org", "grace@example.org")
    ada, grace = (
        sign_in(url, deployment, email, invite(cognito, deployment, email)) for email in emails
    )
    return ada, grace


@pytest.fixture(scope="module")
def callers(
    deployment: Deployment,
    people: tuple[Person, Person],
    another_key: Callable[[], AbstractContextManager[str]],
) -> Iterator[dict[str, httpx.Client]]:
    """Two programs and two people."""
    with ExitStack() as stack:
        other = stack.enter_context(another_key())
        headers = {
            "program": {"x-api-key": deployment.api_key},
            "other program": {"Authorization": f"Bearer {other}"},
            "ada": {"Authorization": f"Bearer {people[0].access_token}"},
            "grace": {"Authorization": f"Bearer {people[1].access_token}"},
        }
        yield {
            name: stack.enter_context(
                httpx.Client(base_url=deployment.api_url, headers=each, timeout=40, trust_env=False)
            )
            for name, each in headers.items()
        }


def test_each_caller_sees_only_their_own_jobs(callers: dict[str, httpx.Client]) -> None:
    jobs = {}
    for name, caller in callers.items():
        answer = caller.post("/v1/jobs", json=REQUEST, headers={"Idempotency-Key": "the-same"})
        assert answer.status_code in {200, 202}, (name, answer.text)
        jobs[name] = answer.json()["id"]
    assert len(set(jobs.values())) == len(callers)
    for name, caller in callers.items():
        listed = {job["id"] for job in caller.get("/v1/jobs").json()["jobs"]}
        assert jobs[name] in listed
        for other, job_id in jobs.items():
            if other == name:
                assert caller.get(f"/v1/jobs/{job_id}").status_code == 200
            else:
                assert job_id not in listed, (name, other)
                assert caller.get(f"/v1/jobs/{job_id}").status_code == 404, (name, other)
                assert caller.delete(f"/v1/jobs/{job_id}").status_code == 404, (name, other)
    secrets = {caller.get("/v1/webhooks/secret").json()["secret"] for caller in callers.values()}
    assert len(secrets) == len(callers)


def test_a_person_gets_a_picture(
    callers: dict[str, httpx.Client],
    aws: Callable[[str], Any],
    deployment: Deployment,
    people: tuple[Person, Person],
) -> None:
    caller = callers["ada"]
    job = caller.post("/v1/jobs", json=REQUEST).json()
    deadline = time.monotonic() + 120
    while job["state"] != "succeeded":
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
        job = caller.get(f"/v1/jobs/{job['id']}").json()
    picture = httpx.get(job["images"][0]["url"], trust_env=False)
    assert picture.content.startswith(b"\x89PNG")
    stored = aws("dynamodb").get_item(
        TableName=deployment.job_table, Key={"pk": {"S": f"job#{job['id']}"}}
    )
    assert stored["Item"]["owner"] == {"S": f"user:{people[0].subject}"}


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    header, claims, signature = token.split(".")
    header_json, claims_json = (
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in (header, claims)
    )
    return header_json, claims_json, signature


def _text(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _bad_tokens(person: Person) -> dict[str, str]:
    """Tokens that differ from a good one in one thing each, with the pool's own signature or none.

    moto signs with a key that it ships; a token for another client, or one that is out of date,
    is thereby signed as the pool itself would.
    """
    from moto.utilities.utils import load_resource

    key = RSAKey.import_key(load_resource("cognitoidp/resources/jwks-private.json"))
    header, claims, signature = _parts(person.access_token)
    stranger = RSAKey.generate_key(2048)

    def signed(by: Any = key, **changes: Any) -> str:
        return jwt.encode(header, {**claims, **changes}, by)

    now = int(time.time())
    return {
        "expired": signed(exp=now - 120),
        "not valid yet": signed(nbf=now + 600),
        "another client": signed(client_id="another"),
        "another pool": signed(iss=claims["iss"] + "x"),
        "an ID token": str(person.tokens["id_token"]),
        "tampered": f"{_text(header)}.{_text({**claims, 'sub': 'somebody'})}.{signature}",
        "another key": signed(stranger),
        "unknown key id": jwt.encode({**header, "kid": "unknown"}, claims, key),
        "alg none": f"{_text({**header, 'alg': 'none'})}.{_text(claims)}.",
        "no signature": f"{_text(header)}.{_text(claims)}.",
        "nonsense": "eyJ.eyJ.eyJ",
    }


def test_other_tokens_are_refused_with_a_problem(
    deployment: Deployment, people: tuple[Person, Person]
) -> None:
    with httpx.Client(base_url=deployment.api_url, trust_env=False, timeout=40) as client:
        good = {"Authorization": f"Bearer {people[0].access_token}"}
        assert client.get("/v1/jobs", headers=good).status_code == 200
        for what, token in _bad_tokens(people[0]).items():
            answer = client.get("/v1/jobs", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, (what, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", what
            assert answer.headers["www-authenticate"] == "Bearer"
            assert Problem.model_validate_json(answer.content).status == 401


def test_what_counts_peoples_calls_opens_nothing(
    deployment: Deployment, aws: Callable[[str], Any]
) -> None:
    items = aws("apigateway").get_api_keys(includeValues=True)["items"]
    (people_key,) = (item["value"] for item in items if item["value"].startswith("people-"))
    for headers in ({"x-api-key": people_key}, {"Authorization": f"Bearer {people_key}"}):
        answer = httpx.get(f"{deployment.api_url}/v1/jobs", headers=headers, trust_env=False)
        assert answer.status_code == 401


def test_the_sign_in_refuses_strangers(
    deployment: Deployment, local_settings: LocalSettings
) -> None:
    url = f"http://127.0.0.1:{local_settings.sign_in_port}/oauth2/authorize"
    query = {
        "client_id": deployment.client_id,
        "redirect_uri": deployment.console_url,
        "response_type": "code",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    form = {"username": "nobody@example.org", "password": "Wrong-horse-battery-9"}
    answer = httpx.post(url, params=query, data=form, trust_env=False)
    assert answer.status_code == 403
    elsewhere = {**query, "redirect_uri": "https://evil.example/"}
    assert httpx.get(url, params=elsewhere, trust_env=False).status_code == 400
    plain = {name: value for name, value in query.items() if "challenge" not in name}
    assert httpx.get(url, params=plain, trust_env=False).status_code == 400
