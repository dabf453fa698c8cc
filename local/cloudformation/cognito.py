"""Cognito user pools, their clients and the domains of their sign-in pages."""

from typing import Any, ClassVar

from local.errors import ProvisioningError
from local.settings import REGION

from .adapter import ApiAdapter, Properties, Provisioned, ResourceAdapter, ResourceRequest

__all__ = ["cognito_adapters"]

# Properties of CloudFormation that the API takes in a call of their own, or under another name.
_POOL_ONLY = ("EnabledMfas", "UserPoolName", "UserPoolTags")


class _Cognito(ApiAdapter):
    @property
    def _api(self) -> Any:
        return self._client("cognito-idp")


class UserPool(_Cognito):
    """User pools; their people stay when the pool changes."""

    types: ClassVar = ("AWS::Cognito::UserPool",)
    name_property: ClassVar = "UserPoolName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the pool."""
        pool = self._api.create_user_pool(PoolName=request.name, **_arguments(request.properties))
        pool_id = pool["UserPool"]["Id"]
        self._set_second_factor(pool_id, request.properties)
        provider = f"cognito-idp.{REGION}.amazonaws.com/{pool_id}"
        return Provisioned(
            pool_id,
            {
                "Arn": pool["UserPool"]["Arn"],
                "ProviderName": provider,
                "ProviderURL": f"https://{provider}",
                "UserPoolId": pool_id,
            },
        )

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the pool in place."""
        fixed = ("Schema", "UsernameAttributes", "AliasAttributes", "UsernameConfiguration")
        for name in fixed:
            if previous.properties.get(name) != request.properties.get(name):
                raise ProvisioningError(f"{name} of a user pool can't be changed.")
        arguments = _arguments(request.properties)
        self._api.update_user_pool(
            UserPoolId=current.physical_id,
            **{name: value for name, value in arguments.items() if name not in fixed},
        )
        self._set_second_factor(current.physical_id, request.properties)
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the pool with everybody in it, unless it is protected."""
        if request.properties.get("DeletionProtection") == "ACTIVE":
            raise ProvisioningError(
                f"The user pool {current.physical_id} has deletion protection; turn it off first."
            )
        self._api.delete_user_pool(UserPoolId=current.physical_id)

    def _set_second_factor(self, pool_id: str, properties: Properties) -> None:
        factors = properties.get("EnabledMfas", [])
        if unknown := set(factors) - {"SOFTWARE_TOKEN_MFA"}:
            raise ProvisioningError(f"Second factors {sorted(unknown)} are not provided locally.")
        self._api.set_user_pool_mfa_config(
            UserPoolId=pool_id,
            MfaConfiguration=properties.get("MfaConfiguration", "OFF"),
            SoftwareTokenMfaConfiguration={"Enabled": bool(factors)},
        )


def _arguments(properties: Properties) -> Properties:
    """What creation and change take; botocore refuses a name or a type that Cognito lacks."""
    arguments = {name: value for name, value in properties.items() if name not in _POOL_ONLY}
    if "UserPoolTags" in properties:
        arguments["UserPoolTags"] = properties["UserPoolTags"]
    return arguments


class UserPoolClient(_Cognito):
    """Clients of a user pool."""

    types: ClassVar = ("AWS::Cognito::UserPoolClient",)
    name_property: ClassVar = "ClientName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the client."""
        properties = {
            name: value for name, value in request.properties.items() if name != "ClientName"
        }
        flows = set(properties.get("AllowedOAuthFlows", []))
        if flows and "client_credentials" not in flows and not properties.get("CallbackURLs"):
            raise ProvisioningError("A client whose people sign in needs CallbackURLs.")
        client = self._api.create_user_pool_client(ClientName=request.name, **properties)
        client_id = client["UserPoolClient"]["ClientId"]
        return Provisioned(client_id, {"ClientId": client_id, "Name": request.name})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the client in place: tokens and the console name its id."""
        fixed = ("ClientName", "GenerateSecret")
        changes = {name: value for name, value in request.properties.items() if name not in fixed}
        self._api.update_user_pool_client(ClientId=current.physical_id, **changes)
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the client."""
        self._api.delete_user_pool_client(
            UserPoolId=request.properties["UserPoolId"], ClientId=current.physical_id
        )


class UserPoolDomain(_Cognito):
    """Domains of sign-in pages; the pages themselves are `local.sign_in_front`'s."""

    types: ClassVar = ("AWS::Cognito::UserPoolDomain",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Take the domain."""
        domain = request.properties["Domain"]
        if any(word in domain for word in ("aws", "amazon", "cognito")):
            raise ProvisioningError(f"Cognito refuses the domain {domain!r}: it holds its names.")
        if "CustomDomainConfig" in request.properties:
            raise ProvisioningError("Custom domains of user pools are not provided locally.")
        self._api.create_user_pool_domain(
            Domain=domain, UserPoolId=request.properties["UserPoolId"]
        )
        return Provisioned(domain, {"Id": domain})

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Give the domain back."""
        self._api.delete_user_pool_domain(
            Domain=current.physical_id, UserPoolId=request.properties["UserPoolId"]
        )


def cognito_adapters(aws_url: str) -> list[ResourceAdapter]:
    """All adapters of this file."""
    return [UserPool(aws_url), UserPoolClient(aws_url), UserPoolDomain(aws_url)]
