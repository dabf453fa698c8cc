"""The CDN: the console, results by signed link, model artifacts."""

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.nag import accept_finding
from infra.stages import StageConfig
from nvfp4_ddim_contracts.keys import MODELS_PREFIX, PUBLIC_KEYS_PREFIX, RESULTS_PREFIX

__all__ = ["Cdn"]

_YEAR = cdk.Duration.days(365)


class Cdn(Construct):
    """One distribution over three private buckets.

    Everything but the results is public by design: the console is a page, and the artifacts are
    what devices download. A results link needs a signature of the trusted key group.

    Attributes:
        distribution: The distribution.
        base_url: Where callers reach it; no slash at the end.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        console: s3.IBucket,
        results: s3.IBucket,
        artifacts: s3.IBucket,
        logs: s3.IBucket,
        trusted: cloudfront.IKeyGroup,
        sign_in_url: str,
    ) -> None:
        """Define the distribution."""
        super().__init__(scope, construct_id)
        cdk.Annotations.of(cdk.Stack.of(self)).acknowledge_warning(
            "@aws-cdk/aws-cloudfront-origins:wildcardKeyPolicyForOac",
            "Naming the distribution in the key's policy would be a cycle; the policy lets the "
            "distributions of this account decrypt, and each bucket's policy names the one.",
        )
        headers = _security_headers(self, config, sign_in_url, results)
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"nvfp4-ddim {config.name}",
            default_root_object="index.html",
            default_behavior=_behavior(console, headers),
            additional_behaviors={
                f"/{RESULTS_PREFIX}*": _behavior(results, headers, trusted),
                f"/{MODELS_PREFIX}*": _behavior(artifacts, headers),
                f"/{PUBLIC_KEYS_PREFIX}*": _behavior(artifacts, headers),
            },
            price_class=cloudfront.PriceClass[f"PRICE_CLASS_{config.price_class}"],
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            # CloudFront's own certificate comes with a policy that can't be chosen.
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021
            if config.domain
            else None,
            log_bucket=logs,
            log_file_prefix="cdn/",
            domain_names=[config.domain.name] if config.domain else None,
            certificate=_certificate(self, config),
        )
        self.base_url = _base_url(self.distribution, config)
        accept_finding(self.distribution, "The service has no reason to refuse a country.", "CFR1")
        accept_finding(
            self.distribution,
            "A web ACL for CloudFront lives in us-east-1 and costs a fixed fee; the CDN serves "
            "static objects only.",
            "CFR2",
        )
        if config.domain is None:
            accept_finding(
                self.distribution,
                "TLS 1.2_2021 takes effect with a domain of one's own (context cdnDomain); "
                "CloudFront's shared certificate fixes the policy itself.",
                "CFR4",
            )


def _behavior(
    bucket: s3.IBucket,
    headers: cloudfront.IResponseHeadersPolicy,
    trusted: cloudfront.IKeyGroup | None = None,
) -> cloudfront.BehaviorOptions:
    return cloudfront.BehaviorOptions(
        origin=origins.S3BucketOrigin.with_origin_access_control(bucket),
        viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
        # How long an object is kept is what its Cache-Control says: artifacts for ever, the
        # console and the live pointers not at all.
        cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
        response_headers_policy=headers,
        trusted_key_groups=[trusted] if trusted else None,
        compress=True,
    )


def _security_headers(
    scope: Construct, config: StageConfig, sign_in_url: str, results: s3.IBucket
) -> cloudfront.ResponseHeadersPolicy:
    return cloudfront.ResponseHeadersPolicy(
        scope,
        "SecurityHeaders",
        comment=f"nvfp4-ddim {config.name}",
        security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
            content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                content_security_policy=_content_security_policy(
                    scope, config, sign_in_url, results
                ),
                override=True,
            ),
            content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
            frame_options=cloudfront.ResponseHeadersFrameOptions(
                frame_option=cloudfront.HeadersFrameOption.DENY, override=True
            ),
            referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
            ),
            strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                access_control_max_age=_YEAR, include_subdomains=True, override=True
            ),
        ),
    )


def _content_security_policy(
    scope: Construct, config: StageConfig, sign_in_url: str, results: s3.IBucket
) -> str:
    """What the console may load: itself, results of this CDN, the API, and tokens at the sign-in.
    Uploads go to the results bucket by its regional name.

    The API is made after the CDN and allows the CDN's origin, so that naming it here would be a
    cycle: any API Gateway of the region has to do.
    """
    stack = cdk.Stack.of(scope)
    gateways = f"https://*.execute-api.{stack.region}.{stack.url_suffix}"
    api = config.local_urls.api if config.local_urls else gateways
    uploads = (
        config.local_urls.aws
        if config.local_urls
        else f"https://{results.bucket_regional_domain_name}"
    )
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "img-src 'self' blob: data:",
            "manifest-src 'self'",
            f"connect-src 'self' {api} {uploads} {sign_in_url}",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _certificate(scope: Construct, config: StageConfig) -> acm.ICertificate | None:
    if config.domain is None:
        return None
    return acm.Certificate.from_certificate_arn(scope, "Certificate", config.domain.certificate_arn)


def _base_url(distribution: cloudfront.Distribution, config: StageConfig) -> str:
    if config.local_urls:
        return config.local_urls.cdn
    return f"https://{config.domain.name if config.domain else distribution.domain_name}"
