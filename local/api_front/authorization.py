"""Lambda authorisers: identity sources, the policy they return, and its cache."""

import fnmatch
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .model import Authorizer
from .refusals import Refusal

__all__ = ["Authorization", "Authorizations", "Invoker"]


class Invoker(Protocol):
    """Runs a function: its payload, and whether that is an error."""

    def __call__(self, name_or_arn: str, event: Any, /) -> tuple[Any, bool]:
        """Invoke and wait."""
        ...


@dataclass(frozen=True)
class Authorization:
    """What an authoriser said about a caller."""

    principal_id: str
    context: dict[str, Any]
    usage_key: str | None
    policy: dict[str, Any]


class Authorizations:
    """Asks authorisers, and remembers their answers for as long as they allow."""

    def __init__(self, invoke: Invoker) -> None:
        self._invoke = invoke
        self._cache: dict[tuple[str, ...], tuple[float, Authorization]] = {}
        self._lock = threading.Lock()

    def authorize(
        self, authorizer: Authorizer, event: dict[str, Any], method_arn: str
    ) -> Authorization:
        """Ask whether a request may go on.

        Args:
            authorizer: The method's authoriser.
            event: The request's proxy event, which a REQUEST authoriser gets.
            method_arn: `arn:aws:execute-api:...` of the request.

        Raises:
            Refusal: No identity, not authorised, denied, or the authoriser itself failed.
        """
        identity = _identity(authorizer, event)
        key = (authorizer.authorizer_id, *identity)
        with self._lock:
            known = self._cache.get(key)
        if known is not None and known[0] > time.monotonic():
            answer = known[1]
        else:
            answer = self._ask(authorizer, event, method_arn, identity)
            if authorizer.ttl_seconds > 0:
                with self._lock:
                    self._cache[key] = (time.monotonic() + authorizer.ttl_seconds, answer)
        if not _allows(answer.policy, method_arn):
            raise Refusal("ACCESS_DENIED")
        return answer

    def _ask(
        self,
        authorizer: Authorizer,
        event: dict[str, Any],
        method_arn: str,
        identity: tuple[str, ...],
    ) -> Authorization:
        if authorizer.kind == "TOKEN":
            sent = {
                "type": "TOKEN",
                "methodArn": method_arn,
                "authorizationToken": identity[0] if identity else "",
            }
        else:
            hidden = ("body", "isBase64Encoded")
            sent = {name: value for name, value in event.items() if name not in hidden}
            sent |= {"type": "REQUEST", "methodArn": method_arn}
        payload, is_error = self._invoke(authorizer.function_arn, sent)
        if is_error:
            if payload.get("errorMessage") == "Unauthorized":
                raise Refusal("UNAUTHORIZED")
            raise Refusal("AUTHORIZER_FAILURE")
        try:
            return Authorization(
                principal_id=payload["principalId"],
                context=_flat(payload.get("context") or {}),
                usage_key=payload.get("usageIdentifierKey"),
                policy=payload["policyDocument"],
            )
        except (KeyError, TypeError) as error:
            raise Refusal("AUTHORIZER_CONFIGURATION_ERROR") from error


def _identity(authorizer: Authorizer, event: dict[str, Any]) -> tuple[str, ...]:
    """Values of the identity sources; a missing one is refused before the function runs."""
    values = []
    for source in authorizer.identity_sources:
        value = _source_value(source, event)
        if not value:
            raise Refusal("UNAUTHORIZED")
        values.append(value)
    return tuple(values)


def _source_value(source: str, event: dict[str, Any]) -> str | None:
    if source.startswith("context."):
        found = event["requestContext"].get(source.removeprefix("context."))
        return None if found is None else str(found)
    _, _, kind, name = source.split(".", 3)
    if kind == "header":
        headers: Mapping[str, str] = event["headers"]
        return next((value for key, value in headers.items() if key.lower() == name.lower()), None)
    value: str | None = (event["queryStringParameters"] or {}).get(name)
    return value


def _flat(context: dict[str, Any]) -> dict[str, Any]:
    """API Gateway turns every scalar of the context into a string, and refuses the rest."""
    if any(isinstance(value, dict | list) for value in context.values()):
        raise Refusal("AUTHORIZER_CONFIGURATION_ERROR")
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in context.items()
        if value is not None
    }


def _allows(policy: dict[str, Any], method_arn: str) -> bool:
    """Whether the policy allows the method: an explicit Deny wins."""
    allowed = False
    for statement in policy.get("Statement", []):
        resources = statement.get("Resource", [])
        resources = [resources] if isinstance(resources, str) else resources
        if any(fnmatch.fnmatchcase(method_arn, resource) for resource in resources):
            if statement["Effect"] == "Deny":
                return False
            allowed = True
    return allowed
