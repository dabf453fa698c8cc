from typing import Any

import pytest

from local.cdn_front.distributions import Distribution
from local.cdn_front.headers import policy_headers
from local.errors import ProvisioningError


def config(**default: Any) -> dict[str, Any]:
    return {
        "Origins": [
            {"Id": "web", "DomainName": "web.s3.us-east-1.amazonaws.com", "S3OriginConfig": {}},
            {"Id": "results", "DomainName": "r.s3.amazonaws.com", "S3OriginConfig": {}},
        ],
        "DefaultRootObject": "index.html",
        "DefaultCacheBehavior": {"TargetOriginId": "web", **default},
        "CacheBehaviors": [
            {
                "PathPattern": "/results/*",
                "TargetOriginId": "results",
                "TrustedKeyGroups": ["G"],
                "AllowedMethods": ["GET", "HEAD", "OPTIONS"],
            },
        ],
    }


@pytest.mark.parametrize(
    ("path", "bucket"),
    [("/results/a/b.png", "r"), ("/results", "web"), ("/", "web"), ("/x/results/y", "web")],
)
def test_a_path_goes_to_the_first_matching_behaviour(path: str, bucket: str) -> None:
    distribution = Distribution.from_properties("D", config())
    assert distribution.behavior_for(path).bucket == bucket
    assert distribution.behavior_for("/results/x").key_groups == ("G",)


def test_what_is_not_provided_is_refused() -> None:
    with pytest.raises(ProvisioningError, match="FunctionAssociations"):
        Distribution.from_properties("D", config(FunctionAssociations=[{}]))
    other = config()
    other["Origins"][0] = {"Id": "web", "DomainName": "example.org", "CustomOriginConfig": {}}
    with pytest.raises(ProvisioningError, match="Only S3 origins"):
        Distribution.from_properties("D", other)


def test_security_and_cors_headers_are_added() -> None:
    policy = {
        "SecurityHeadersConfig": {
            "ContentTypeOptions": {"Override": True},
            "StrictTransportSecurity": {"AccessControlMaxAgeSec": 10, "IncludeSubdomains": True},
        },
        "CorsConfig": {
            "AccessControlAllowOrigins": {"Items": ["http://a"]},
            "AccessControlAllowMethods": {"Items": ["GET", "HEAD"]},
            "AccessControlAllowHeaders": {"Items": ["*"]},
        },
    }
    headers = policy_headers(policy, "http://a")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Strict-Transport-Security"] == "max-age=10; includeSubDomains"
    assert headers["Access-Control-Allow-Origin"] == "http://a"
    assert "Access-Control-Allow-Origin" not in policy_headers(policy, "http://b")
