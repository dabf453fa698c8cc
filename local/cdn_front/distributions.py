"""Deployed distributions, as far as serving them needs."""

import fnmatch
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from local.errors import ProvisioningError

__all__ = ["Behavior", "Distribution", "DistributionRegistry"]

_BUCKET_HOST = re.compile(r"^(?P<bucket>[a-z0-9.-]+?)\.s3[.-].*$")


@dataclass(frozen=True)
class Behavior:
    """One cache behaviour: which paths, from which bucket, for whom.

    Attributes:
        pattern: CloudFront path pattern without its leading slash; "*" for the default.
        bucket: Bucket of the S3 origin.
        origin_path: Prefix that the origin puts before every key.
        methods: Allowed HTTP methods.
        key_groups: Ids of the key groups that may sign; empty where no signature is wanted.
        headers_policy: Id of the response headers policy, if any.
    """

    pattern: str
    bucket: str
    origin_path: str
    methods: frozenset[str]
    key_groups: tuple[str, ...]
    headers_policy: str | None

    def matches(self, path: str) -> bool:
        """Whether the behaviour answers for `path`; patterns know `*` and `?` only."""
        pattern = self.pattern.replace("[", "[[]")
        return fnmatch.fnmatchcase(path.lstrip("/"), pattern)


@dataclass(frozen=True)
class Distribution:
    """A distribution: its behaviours in order, the default one last."""

    distribution_id: str
    default_root_object: str
    behaviors: tuple[Behavior, ...]
    error_pages: dict[int, tuple[str, int]]

    @classmethod
    def from_properties(cls, distribution_id: str, config: dict[str, Any]) -> "Distribution":
        """Read `AWS::CloudFront::Distribution`'s `DistributionConfig`.

        Raises:
            ProvisioningError: It uses an origin or a function that is not provided locally.
        """
        origins = {origin["Id"]: origin for origin in config["Origins"]}
        declared = [*config.get("CacheBehaviors", []), {**config["DefaultCacheBehavior"]}]
        return cls(
            distribution_id=distribution_id,
            default_root_object=config.get("DefaultRootObject", ""),
            behaviors=tuple(_behavior(behavior, origins) for behavior in declared),
            error_pages={
                int(page["ErrorCode"]): (page["ResponsePagePath"], int(page["ResponseCode"]))
                for page in config.get("CustomErrorResponses", [])
                if "ResponsePagePath" in page
            },
        )

    def behavior_for(self, path: str) -> Behavior:
        """The first behaviour whose pattern matches; the default one matches everything."""
        return next(behavior for behavior in self.behaviors if behavior.matches(path))


def _behavior(behavior: dict[str, Any], origins: dict[str, Any]) -> Behavior:
    for name in ("FunctionAssociations", "LambdaFunctionAssociations"):
        if behavior.get(name):
            raise ProvisioningError(f"CloudFront {name} are not provided locally.")
    origin = origins[behavior["TargetOriginId"]]
    match = _BUCKET_HOST.match(origin["DomainName"])
    if match is None or "S3OriginConfig" not in origin:
        raise ProvisioningError(
            f"Only S3 origins are provided locally, not {origin['DomainName']!r}."
        )
    return Behavior(
        pattern=behavior.get("PathPattern", "*").lstrip("/"),
        bucket=match["bucket"],
        origin_path=origin.get("OriginPath", "").strip("/"),
        methods=frozenset(behavior.get("AllowedMethods", ["GET", "HEAD"])),
        key_groups=tuple(behavior.get("TrustedKeyGroups", [])),
        headers_policy=behavior.get("ResponseHeadersPolicyId"),
    )


@dataclass
class DistributionRegistry:
    """What is deployed: distributions, public keys, key groups, response headers policies."""

    distributions: dict[str, Distribution] = field(default_factory=dict)
    public_keys: dict[str, str] = field(default_factory=dict)
    key_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    headers_policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def trusted_keys(self, groups: tuple[str, ...]) -> dict[str, str]:
        """Public keys as PEM by their id, of all the groups."""
        return {
            key_id: self.public_keys[key_id]
            for group in groups
            for key_id in self.key_groups.get(group, ())
            if key_id in self.public_keys
        }

    def current(self) -> Distribution | None:
        """The distribution that the front serves: there is one per stack set of this project."""
        return next(iter(self.distributions.values()), None)
