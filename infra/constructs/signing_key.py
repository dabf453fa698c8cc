"""The key pair behind signed links: private half in Secrets Manager, public half at CloudFront."""

import aws_cdk as cdk
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.lambda_bundle import LambdaBundle
from infra.nag import accept_finding
from infra.stages import StageConfig

from .grants import allow, allow_key_use
from .python_function import PythonFunction
from .removal import removal_policy

__all__ = ["SigningKey"]


class SigningKey(Construct):
    """A key pair made inside the account; the private key never leaves the secret.

    Attributes:
        secret: Holds the private key as PEM.
        public_key: CloudFront's copy of the public key.
        key_group: What a cache behaviour trusts.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        bundle: LambdaBundle,
        key: kms.IKey,
    ) -> None:
        """Define secret, maker and key group."""
        super().__init__(scope, construct_id)
        self.secret = secretsmanager.Secret(
            self,
            "PrivateKey",
            description="RSA key that signs links to results (CloudFront)",
            encryption_key=key,
            removal_policy=removal_policy(config),
        )
        accept_finding(
            self.secret,
            "Rotation would break every link given out; replace the key by a new key group.",
            "SMG4",
        )
        maker = PythonFunction(
            self,
            "Maker",
            config=config,
            bundle=bundle,
            handler="signing_key",
            timeout=cdk.Duration.minutes(2),
        )
        allow(
            maker,
            ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"],
            [self.secret.secret_arn],
        )
        allow_key_use(maker, key, encrypt=True)
        pair = cdk.CustomResource(
            self,
            "Pair",
            resource_type="Custom::SigningKey",
            service_token=maker.function_arn,
            properties={"SecretId": self.secret.secret_arn},
        )
        pair.node.add_dependency(maker)
        self.public_key = cloudfront.PublicKey(
            self,
            "PublicKey",
            encoded_key=pair.get_att_string("PublicKeyPem"),
            comment=f"nvfp4-ddim {config.name}: links to results",
        )
        self.key_group = cloudfront.KeyGroup(self, "KeyGroup", items=[self.public_key])
