"""Response headers policies, in the order CloudFront applies them."""

from typing import Any

__all__ = ["policy_headers"]


def policy_headers(policy: dict[str, Any], origin: str | None) -> dict[str, str]:
    """Headers that a response headers policy adds.

    Args:
        policy: `ResponseHeadersPolicyConfig` of the template.
        origin: The request's `Origin`, if any.
    """
    headers = _security(policy.get("SecurityHeadersConfig", {}))
    headers |= _cors(policy.get("CorsConfig"), origin)
    for item in policy.get("CustomHeadersConfig", {}).get("Items", []):
        headers[item["Header"]] = item["Value"]
    return headers


def _security(config: dict[str, Any]) -> dict[str, str]:
    headers: dict[str, str] = {}
    if "ContentSecurityPolicy" in config:
        headers["Content-Security-Policy"] = config["ContentSecurityPolicy"][
            "ContentSecurityPolicy"
        ]
    if "ContentTypeOptions" in config:
        headers["X-Content-Type-Options"] = "nosniff"
    if "FrameOptions" in config:
        headers["X-Frame-Options"] = config["FrameOptions"]["FrameOption"]
    if "ReferrerPolicy" in config:
        headers["Referrer-Policy"] = config["ReferrerPolicy"]["ReferrerPolicy"]
    if "StrictTransportSecurity" in config:
        transport = config["StrictTransportSecurity"]
        value = f"max-age={transport['AccessControlMaxAgeSec']}"
        if str(transport.get("IncludeSubdomains", "false")).lower() == "true":
            value += "; includeSubDomains"
        if str(transport.get("Preload", "false")).lower() == "true":
            value += "; preload"
        headers["Strict-Transport-Security"] = value
    return headers


def _cors(config: dict[str, Any] | None, origin: str | None) -> dict[str, str]:
    if config is None or origin is None:
        return {}
    allowed = config["AccessControlAllowOrigins"]["Items"]
    if "*" not in allowed and origin not in allowed:
        return {}
    headers = {
        "Access-Control-Allow-Origin": "*" if "*" in allowed else origin,
        "Access-Control-Allow-Methods": ", ".join(config["AccessControlAllowMethods"]["Items"]),
        "Access-Control-Allow-Headers": ", ".join(config["AccessControlAllowHeaders"]["Items"]),
    }
    exposed = config.get("AccessControlExposeHeaders", {}).get("Items")
    if exposed:
        headers["Access-Control-Expose-Headers"] = ", ".join(exposed)
    return headers
