"""Types that need one or two API calls of moto each."""

import json
from typing import ClassVar

from .adapter import ApiAdapter, Properties, Provisioned, ResourceAdapter, ResourceRequest
from .values import as_bool, without_transport_denial

__all__ = ["simple_adapters"]


class CdkMetadata(ResourceAdapter):
    """Tells AWS which constructs a stack uses; has no effect there either."""

    types: ClassVar = ("AWS::CDK::Metadata",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Nothing exists behind this type."""
        return Provisioned(request.name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Nothing exists behind this type."""


class EncryptionKey(ApiAdapter):
    """KMS keys; moto's own adapter misreads CloudFormation's tags."""

    types: ClassVar = ("AWS::KMS::Key",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the key."""
        client, properties = self._client("kms"), request.properties
        key = client.create_key(
            Description=properties.get("Description", ""),
            Policy=json.dumps(properties["KeyPolicy"]),
            KeyUsage=properties.get("KeyUsage", "ENCRYPT_DECRYPT"),
            KeySpec=properties.get("KeySpec", "SYMMETRIC_DEFAULT"),
        )["KeyMetadata"]
        if as_bool(properties.get("EnableKeyRotation", False)):
            client.enable_key_rotation(KeyId=key["KeyId"])
        return Provisioned(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the policy; what is encrypted with the key must stay readable."""
        policy = json.dumps(request.properties["KeyPolicy"])
        self._client("kms").put_key_policy(
            KeyId=current.physical_id, PolicyName="default", Policy=policy
        )
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Schedule the deletion, which is all that KMS offers."""
        self._client("kms").schedule_key_deletion(KeyId=current.physical_id, PendingWindowInDays=7)


class BucketPolicy(ApiAdapter):
    """S3 bucket policies."""

    types: ClassVar = ("AWS::S3::BucketPolicy",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Set the policy."""
        bucket = request.properties["Bucket"]
        policy = without_transport_denial(request.properties["PolicyDocument"])
        if policy["Statement"]:
            self._client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        return Provisioned(bucket)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Remove the policy."""
        self._client("s3").delete_bucket_policy(Bucket=current.physical_id)


class QueuePolicy(ApiAdapter):
    """SQS queue policies."""

    types: ClassVar = ("AWS::SQS::QueuePolicy",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Set the policy on every queue."""
        policy = without_transport_denial(request.properties["PolicyDocument"])
        self._set(request.properties["Queues"], json.dumps(policy))
        return Provisioned(request.name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Remove the policy from every queue."""
        self._set(request.properties["Queues"], "")

    def _set(self, queues: list[str], policy: str) -> None:
        for queue in queues:
            self._client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})


class TopicPolicy(ApiAdapter):
    """SNS topic policies."""

    types: ClassVar = ("AWS::SNS::TopicPolicy",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Set the policy on every topic."""
        policy = json.dumps(request.properties["PolicyDocument"])
        for topic in request.properties["Topics"]:
            self._client("sns").set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=policy
            )
        return Provisioned(request.name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """The policy goes with its topic."""


class Subscription(ApiAdapter):
    """SNS subscriptions; moto delivers to SQS itself."""

    types: ClassVar = ("AWS::SNS::Subscription",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Subscribe."""
        properties = request.properties
        attributes = {
            name: json.dumps(value) if isinstance(value, dict) else str(value).lower()
            for name, value in properties.items()
            if name in {"RawMessageDelivery", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy"}
        }
        arn = self._client("sns").subscribe(
            TopicArn=properties["TopicArn"],
            Protocol=properties["Protocol"],
            Endpoint=properties["Endpoint"],
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return Provisioned(arn)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Unsubscribe."""
        self._client("sns").unsubscribe(SubscriptionArn=current.physical_id)


class Secret(ApiAdapter):
    """Secrets Manager secrets, with a generated value where the template asks for one."""

    types: ClassVar = ("AWS::SecretsManager::Secret",)
    name_property: ClassVar = "Name"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the secret."""
        client, properties = self._client("secretsmanager"), request.properties
        arguments: Properties = {"Description": properties.get("Description", "")}
        if "KmsKeyId" in properties:
            arguments["KmsKeyId"] = properties["KmsKeyId"]
        if "SecretString" in properties:
            arguments["SecretString"] = properties["SecretString"]
        elif "GenerateSecretString" in properties:
            arguments["SecretString"] = self._generate(properties["GenerateSecretString"])
        arn = client.create_secret(Name=request.name, **arguments)["ARN"]
        return Provisioned(arn, {"Id": arn})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Only the description can change; the value is what others rely on."""
        self._client("secretsmanager").update_secret(
            SecretId=current.physical_id, Description=request.properties.get("Description", "")
        )
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete without a recovery window: the name must be free again."""
        self._client("secretsmanager").delete_secret(
            SecretId=current.physical_id, ForceDeleteWithoutRecovery=True
        )

    def _generate(self, options: Properties) -> str:
        client = self._client("secretsmanager")
        password = client.get_random_password(
            PasswordLength=int(options.get("PasswordLength", 32)),
            ExcludeCharacters=options.get("ExcludeCharacters", ""),
        )["RandomPassword"]
        if "SecretStringTemplate" not in options:
            return str(password)
        document = json.loads(options["SecretStringTemplate"])
        return json.dumps({**document, options["GenerateStringKey"]: password})


class AutoDeleteObjects(ApiAdapter):
    """CDK's `Custom::S3AutoDeleteObjects`, whose Node.js function is not run here."""

    types: ClassVar = ("Custom::S3AutoDeleteObjects",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Remember the bucket."""
        return Provisioned(request.properties["BucketName"])

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete every version of every object."""
        s3 = self._client("s3")
        bucket = current.physical_id
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])


def simple_adapters(aws_url: str) -> list[ResourceAdapter]:
    """All adapters of this file."""
    classes = (
        EncryptionKey, BucketPolicy, QueuePolicy, TopicPolicy, Subscription, Secret,
        AutoDeleteObjects,
    )  # fmt: skip
    return [CdkMetadata(), *(each(aws_url) for each in classes)]
