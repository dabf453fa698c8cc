"""Custom resource `Custom::SigningKey`: an RSA key pair for CloudFront's signed URLs.

Properties: SecretId, name or ARN of a Secrets Manager secret. The private key is made here and
written to the secret, nowhere else; a secret that holds one already keeps it, so that links stay
valid over updates. Deletion leaves the secret to its own resource.

Attributes (Fn::GetAtt): PublicKeyPem.

The function needs secretsmanager:GetSecretValue and PutSecretValue on the secret.
"""

from collections.abc import Callable

from lambdas import wiring
from lambdas.domain.errors import ResourceError

from ._custom_resource import CustomResourceRequest, Reply, custom_resource_handler

__all__ = ["handler"]


def _operate(request: CustomResourceRequest, _check_time: Callable[[], None]) -> Reply:
    if request.is_deletion:
        return Reply(request.physical_id)
    secret_id = request.properties.get("SecretId")
    if not isinstance(secret_id, str) or not secret_id:
        raise ResourceError("The property SecretId is missing.")
    return Reply(
        physical_id=f"signing-key:{secret_id}",
        data={"PublicKeyPem": wiring.signing_keys().ensure(secret_id)},
    )


handler = custom_resource_handler(_operate)
