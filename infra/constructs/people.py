"""People who sign in: a Cognito user pool, its sign-in pages and the console's client."""

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.nag import accept_finding
from infra.stages import StageConfig

from .removal import removal_policy

__all__ = ["ConsoleClient", "People"]

_MIN_PASSWORD_CHARACTERS = 14
# A password that somebody else chose should not lie around for long.
_INVITATION_LIFETIME = cdk.Duration.days(3)
_TOKEN_MINUTES = 60
_SIGN_IN_MINUTES = 12 * 60


class People(Construct):
    """The user pool and its sign-in pages.

    Attributes:
        pool: The user pool; people are known by their e-mail address.
        issuer: The `iss` of its tokens.
        keys_url: Where its JSON Web Key Set lies.
        sign_in_url: Base of the sign-in pages, such as `/oauth2/authorize`; no slash at the end.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: StageConfig) -> None:
        """Define the pool."""
        super().__init__(scope, construct_id)
        people = config.people
        self.pool = cognito.UserPool(
            self,
            "Pool",
            self_sign_up_enabled=people.self_sign_up,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            # An address changes only once its new owner has proved it.
            keep_original=cognito.KeepOriginalAttrs(email=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=_MIN_PASSWORD_CHARACTERS,
                require_digits=True,
                require_lowercase=True,
                require_symbols=True,
                require_uppercase=True,
                temp_password_validity=_INVITATION_LIFETIME,
            ),
            deletion_protection=config.keep_data,
            removal_policy=removal_policy(config),
            feature_plan=cognito.FeaturePlan.PLUS
            if people.threat_protection
            else cognito.FeaturePlan.ESSENTIALS,
            standard_threat_protection_mode=cognito.StandardThreatProtectionMode.FULL_FUNCTION
            if people.threat_protection
            else None,
        )
        accept_finding(
            self.pool,
            "A second factor is offered, not demanded: people have nothing here but their own "
            "pictures.",
            "COG2",
        )
        if not people.threat_protection:
            accept_finding(
                self.pool,
                "Threat protection needs Cognito's plan Plus, which costs more for each person; "
                "a stage turns it on by people.threat_protection.",
                "COG3",
                "COG8",
            )
        domain = self.pool.add_domain(
            "SignIn",
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"nvfp4-ddim-{config.name}-{_stack_suffix(self)}"
            ),
        )
        region = cdk.Stack.of(self).region
        local = config.local_urls
        self.issuer = f"https://{self.pool.user_pool_provider_name}"
        self.keys_url = (
            f"{f'{local.aws}/{self.pool.user_pool_id}' if local else self.issuer}"
            "/.well-known/jwks.json"
        )
        self.sign_in_url = (
            local.sign_in
            if local
            else f"https://{domain.domain_name}.auth.{region}.amazoncognito.com"
        )


class ConsoleClient(Construct):
    """The console as the pool's client: authorization code with PKCE, and no secret.

    Attributes:
        client_id: What the console calls itself, and what access tokens name.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, people: People, console_url: str
    ) -> None:
        """Define the client.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            people: Who may sign in.
            console_url: The page that people come back to.
        """
        super().__init__(scope, construct_id)
        client = cognito.CfnUserPoolClient(
            self,
            "Client",
            user_pool_id=people.pool.user_pool_id,
            # A page can keep no secret; PKCE proves that who began is who ends.
            generate_secret=False,
            # Passwords are typed into Cognito's own pages only, never handed to its API.
            explicit_auth_flows=["ALLOW_REFRESH_TOKEN_AUTH"],
            supported_identity_providers=["COGNITO"],
            allowed_o_auth_flows_user_pool_client=True,
            allowed_o_auth_flows=["code"],
            allowed_o_auth_scopes=["openid", "email"],
            callback_ur_ls=[console_url],
            logout_ur_ls=[console_url],
            access_token_validity=_TOKEN_MINUTES,
            id_token_validity=_TOKEN_MINUTES,
            refresh_token_validity=_SIGN_IN_MINUTES,
            token_validity_units=cognito.CfnUserPoolClient.TokenValidityUnitsProperty(
                access_token="minutes",  # noqa: S106 - a unit of time
                id_token="minutes",  # noqa: S106 - a unit of time
                refresh_token="minutes",  # noqa: S106 - a unit of time
            ),
            enable_token_revocation=True,
            prevent_user_existence_errors="ENABLED",
        )
        self.client_id = client.ref


def _stack_suffix(scope: Construct) -> str:
    """Twelve hexadecimal digits of the stack's own id: a prefix is unique in a whole region."""
    uuid = cdk.Fn.select(2, cdk.Fn.split("/", cdk.Stack.of(scope).stack_id))
    return cdk.Fn.select(4, cdk.Fn.split("-", uuid))
