import json

import pytest

from tests.infrastructure.assembly import Assembly, Resource


def test_the_key_rotates_and_services_use_it_for_this_account_only(assembly: Assembly) -> None:
    keys = [each["Properties"] for each in assembly.storage.of_type("AWS::KMS::Key").values()]
    (key,) = (each for each in keys if "KeySpec" not in each)
    assert key["EnableKeyRotation"] is True
    for statement in key["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"]:
            assert "AWS::AccountId" in json.dumps(statement["Condition"])


def test_manifests_are_signed_by_an_elliptic_curve_key(assembly: Assembly) -> None:
    keys = [each["Properties"] for each in assembly.storage.of_type("AWS::KMS::Key").values()]
    (key,) = (each for each in keys if each.get("KeySpec"))
    assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    assert "EnableKeyRotation" not in key


def test_no_bucket_is_public_or_readable_without_tls(assembly: Assembly) -> None:
    policies = {
        policy["Properties"]["Bucket"]["Ref"]: policy["Properties"]["PolicyDocument"]["Statement"]
        for _, _, policy in assembly.all_of("AWS::S3::BucketPolicy")
    }
    for _, name, bucket in assembly.all_of("AWS::S3::Bucket"):
        block = bucket["Properties"]["PublicAccessBlockConfiguration"]
        assert len(block) == 4, name
        assert all(block.values()), name
        assert any(
            statement["Effect"] == "Deny"
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            and statement["Principal"] == {"AWS": "*"}
            for statement in policies[name]
        ), name


def test_artifacts_are_versioned_and_results_expire(assembly: Assembly) -> None:
    buckets = assembly.storage.of_type("AWS::S3::Bucket")
    by_prefix = {name.rstrip("0123456789ABCDEF"): b["Properties"] for name, b in buckets.items()}
    artifacts, results = by_prefix["Artifacts"], by_prefix["Results"]
    assert artifacts["VersioningConfiguration"] == {"Status": "Enabled"}
    for bucket in (artifacts, results):
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert "LoggingConfiguration" in bucket
    days = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in results["LifecycleConfiguration"]["Rules"]
        if "Prefix" in rule
    }
    assert days == {
        "async/input/": 2,
        "async/output/": 2,
        "async/failure/": 2,
        "results/": 7,
        "uploads/": 1,
    }
    assert any(
        "AbortIncompleteMultipartUpload" in rule
        for rule in results["LifecycleConfiguration"]["Rules"]
    )


def test_only_pages_behind_cloudfront_may_send_uploads(assembly: Assembly) -> None:
    rules = [
        rule
        for bucket in assembly.storage.of_type("AWS::S3::Bucket").values()
        for rule in bucket["Properties"].get("CorsConfiguration", {}).get("CorsRules", [])
    ]
    (rule,) = rules
    assert rule["AllowedMethods"] == ["POST"]
    assert rule["AllowedOrigins"] == ["https://*.cloudfront.net"]


@pytest.fixture
def distribution(assembly: Assembly) -> Resource:
    return assembly.storage.only("AWS::CloudFront::Distribution")["DistributionConfig"]


def test_results_need_a_signature_and_nothing_else_does(distribution: Resource) -> None:
    behaviours = {each["PathPattern"]: each for each in distribution["CacheBehaviors"]}
    assert set(behaviours) == {"/results/*", "/models/*", "/keys/*"}
    assert len(behaviours["/results/*"]["TrustedKeyGroups"]) == 1
    assert "TrustedKeyGroups" not in behaviours["/models/*"]
    assert "TrustedKeyGroups" not in behaviours["/keys/*"]
    assert "TrustedKeyGroups" not in distribution["DefaultCacheBehavior"]


def test_the_cdn_reads_private_origins_over_tls_and_logs(distribution: Resource) -> None:
    for origin in distribution["Origins"]:
        assert origin["OriginAccessControlId"]
        assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}
    for behaviour in (distribution["DefaultCacheBehavior"], *distribution["CacheBehaviors"]):
        assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
        assert behaviour["ResponseHeadersPolicyId"]
    assert distribution["HttpVersion"] == "http2and3"
    assert distribution["Logging"]["Prefix"] == "cdn/"


def test_the_console_may_only_talk_to_itself_api_gateway_and_the_uploads(
    assembly: Assembly,
) -> None:
    headers = assembly.storage.only("AWS::CloudFront::ResponseHeadersPolicy")
    security = headers["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    policy = json.dumps(security["ContentSecurityPolicy"]["ContentSecurityPolicy"])
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "execute-api" in policy
    (bucket,) = (
        name for name in assembly.storage.of_type("AWS::S3::Bucket") if name.startswith("Results")
    )
    assert f'["{bucket}", "RegionalDomainName"]' in policy


def test_the_private_key_comes_from_the_custom_resource_not_the_template(
    assembly: Assembly,
) -> None:
    public_key = assembly.storage.only("AWS::CloudFront::PublicKey")["PublicKeyConfig"]
    assert public_key["EncodedKey"]["Fn::GetAtt"][1] == "PublicKeyPem"
    secret = assembly.storage.only("AWS::SecretsManager::Secret")
    assert "SecretString" not in secret
    assert secret["KmsKeyId"]


def test_the_job_table_has_what_the_handlers_need(assembly: Assembly) -> None:
    table = assembly.storage.only("AWS::DynamoDB::Table")
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    indexes = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {"by-owner": ["owner", "created_at"], "by-state": ["state", "updated_at"]}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_a_stage_that_keeps_no_data_can_be_deleted(assembly: Assembly) -> None:
    buckets = assembly.storage.of_type("AWS::S3::Bucket")
    emptied = {
        resource["Properties"]["DestinationBucket"]["Ref"]
        for resource in assembly.storage.of_type("Custom::PublishFiles").values()
    }
    assert emptied == set(buckets)
    assert {bucket["DeletionPolicy"] for bucket in buckets.values()} == {"Delete"}
