"""CloudFront types: registered at moto where it has them, and served by the local CDN front."""

import uuid
from typing import Any, ClassVar

from local.cdn_front.distributions import Distribution, DistributionRegistry
from local.errors import ProvisioningError

from .adapter import ApiAdapter, Provisioned, ResourceAdapter, ResourceRequest

__all__ = ["cloudfront_adapters"]


class _CloudFront(ApiAdapter):
    def __init__(self, aws_url: str, registry: DistributionRegistry, cdn_host: str) -> None:
        super().__init__(aws_url)
        self._registry = registry
        self._cdn_host = cdn_host

    @property
    def _api(self) -> Any:
        return self._client("cloudfront")


class PublicKey(_CloudFront):
    """Public keys of signed links."""

    types: ClassVar = ("AWS::CloudFront::PublicKey",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Register the key."""
        config = request.properties["PublicKeyConfig"]
        key = self._api.create_public_key(
            PublicKeyConfig={**config, "CallerReference": request.name}
        )["PublicKey"]
        self._registry.public_keys[key["Id"]] = config["EncodedKey"]
        return Provisioned(key["Id"], {"Id": key["Id"], "CreatedTime": str(key["CreatedTime"])})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Forget the key."""
        tag = self._api.get_public_key(Id=current.physical_id)["ETag"]
        self._api.delete_public_key(Id=current.physical_id, IfMatch=tag)
        self._registry.public_keys.pop(current.physical_id, None)


class KeyGroup(_CloudFront):
    """Groups of public keys that a behaviour trusts."""

    types: ClassVar = ("AWS::CloudFront::KeyGroup",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Register the group."""
        config = request.properties["KeyGroupConfig"]
        group = self._api.create_key_group(KeyGroupConfig=config)["KeyGroup"]
        self._registry.key_groups[group["Id"]] = tuple(config["Items"])
        return Provisioned(group["Id"], {"Id": group["Id"]})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the members in place: a distribution refers to the group."""
        members = tuple(request.properties["KeyGroupConfig"]["Items"])
        self._registry.key_groups[current.physical_id] = members
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Forget the group; moto has no call to delete one."""
        self._registry.key_groups.pop(current.physical_id, None)


class OriginAccessControl(_CloudFront):
    """Origin access controls."""

    types: ClassVar = ("AWS::CloudFront::OriginAccessControl",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Register the control."""
        config = request.properties["OriginAccessControlConfig"]
        control = self._api.create_origin_access_control(OriginAccessControlConfig=config)
        control_id = control["OriginAccessControl"]["Id"]
        return Provisioned(control_id, {"Id": control_id})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Forget the control."""
        self._api.delete_origin_access_control(Id=current.physical_id)


class ResponseHeadersPolicy(_CloudFront):
    """Headers that the CDN adds to its answers; moto does not know them, the front does."""

    types: ClassVar = ("AWS::CloudFront::ResponseHeadersPolicy",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Register the policy."""
        policy_id = str(uuid.uuid4())
        config = request.properties["ResponseHeadersPolicyConfig"]
        self._registry.headers_policies[policy_id] = config
        return Provisioned(policy_id, {"Id": policy_id, "LastModifiedTime": ""})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the policy in place."""
        config = request.properties["ResponseHeadersPolicyConfig"]
        self._registry.headers_policies[current.physical_id] = config
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Forget the policy."""
        self._registry.headers_policies.pop(current.physical_id, None)


class CdnDistribution(_CloudFront):
    """Distributions."""

    types: ClassVar = ("AWS::CloudFront::Distribution",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Register the distribution and begin to serve it."""
        config = request.properties["DistributionConfig"]
        with self._registry.lock:
            if self._registry.distributions:
                raise ProvisioningError(
                    "The local CDN serves one distribution, and one is already deployed."
                )
            created = self._api.create_distribution(
                DistributionConfig=_moto_config(config, request.name)
            )["Distribution"]
            self._serve(created["Id"], config)
        return Provisioned(created["Id"], {"Id": created["Id"], "DomainName": self._cdn_host})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Serve the new configuration under the same id."""
        self._serve(current.physical_id, request.properties["DistributionConfig"])
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Stop serving and forget the distribution."""
        self._registry.distributions.pop(current.physical_id, None)
        answer = self._api.get_distribution(Id=current.physical_id)
        self._api.delete_distribution(Id=current.physical_id, IfMatch=answer["ETag"])

    def _serve(self, distribution_id: str, config: dict[str, Any]) -> None:
        distribution = Distribution.from_properties(distribution_id, config)
        self._registry.distributions[distribution_id] = distribution


def _moto_config(config: dict[str, Any], reference: str) -> dict[str, Any]:
    """The part of the configuration that moto keeps, in the API's shape."""
    origins = [
        {
            "Id": origin["Id"],
            "DomainName": origin["DomainName"],
            "OriginAccessControlId": origin.get("OriginAccessControlId", ""),
            "S3OriginConfig": {"OriginAccessIdentity": ""},
        }
        for origin in config["Origins"]
    ]
    default = config["DefaultCacheBehavior"]
    return {
        "CallerReference": reference,
        "Comment": config.get("Comment", ""),
        "Enabled": True,
        "DefaultRootObject": config.get("DefaultRootObject", ""),
        "Origins": {"Quantity": len(origins), "Items": origins},
        "DefaultCacheBehavior": {
            "TargetOriginId": default["TargetOriginId"],
            "ViewerProtocolPolicy": default["ViewerProtocolPolicy"],
            "CachePolicyId": default.get("CachePolicyId", ""),
        },
    }


def cloudfront_adapters(
    aws_url: str, registry: DistributionRegistry, cdn_host: str
) -> list[ResourceAdapter]:
    """All adapters of this file."""
    classes = (PublicKey, KeyGroup, OriginAccessControl, ResponseHeadersPolicy, CdnDistribution)
    return [each(aws_url, registry, cdn_host) for each in classes]
