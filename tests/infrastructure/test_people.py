"""Who may sign in, and how."""

import json

from tests.infrastructure.assembly import Assembly


def test_people_are_invited_and_choose_strong_passwords(assembly: Assembly) -> None:
    pool = assembly.storage.only("AWS::Cognito::UserPool")
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    policy = pool["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] >= 14
    assert all(policy[f"Require{kind}"] for kind in ("Lowercase", "Numbers", "Symbols"))
    assert pool["MfaConfiguration"] == "OPTIONAL"
    assert pool["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]
    assert pool["UsernameAttributes"] == ["email"]
    assert "UserPoolName" not in pool


def test_the_console_signs_in_by_code_and_keeps_no_secret(assembly: Assembly) -> None:
    client = assembly.storage.only("AWS::Cognito::UserPoolClient")
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["GenerateSecret"] is False
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True
    assert client["AccessTokenValidity"] <= 60
    assert client["TokenValidityUnits"]["AccessToken"] == "minutes"
    assert client["CallbackURLs"] == client["LogoutURLs"]
    assert "localhost" not in json.dumps(client["CallbackURLs"])


def test_the_sign_in_pages_have_no_name_that_another_stack_could_hold(assembly: Assembly) -> None:
    domain = assembly.storage.only("AWS::Cognito::UserPoolDomain")
    assert "AWS::StackId" in json.dumps(domain["Domain"])


def test_what_counts_peoples_calls_is_a_key_and_a_plan_of_their_own(assembly: Assembly) -> None:
    keys = assembly.api.of_type("AWS::ApiGateway::ApiKey")
    (people,) = (name for name, key in keys.items() if "Value" in key["Properties"])
    links = [
        link["Properties"]
        for link in assembly.api.of_type("AWS::ApiGateway::UsagePlanKey").values()
    ]
    assert len(keys) == len(links) == 2
    assert len({link["UsagePlanId"]["Ref"] for link in links}) == 2
    functions = assembly.api.of_type("AWS::Lambda::Function").values()
    (authorizer,) = (
        each["Properties"]["Environment"]["Variables"]
        for each in functions
        if each["Properties"]["Handler"] == "lambdas.handlers.authorize.handler"
    )
    assert authorizer["PEOPLE_USAGE_KEY"] == keys[people]["Properties"]["Value"]
    assert "/.well-known/jwks.json" in json.dumps(authorizer["TOKEN_KEYS_URL"])
    assert "ProviderName" in json.dumps(authorizer["TOKEN_ISSUER"])


def test_the_console_may_fetch_tokens_and_is_told_where(assembly: Assembly) -> None:
    files = json.dumps(assembly.api.only("Custom::PublishFiles")["InlineFiles"]["config.json"])
    assert "signIn" in files
    assert "amazoncognito.com" in files
    policies = json.dumps(assembly.storage.of_type("AWS::CloudFront::ResponseHeadersPolicy"))
    assert ".amazoncognito.com; base-uri" in policies


def test_production_keeps_its_people(guarded: Assembly) -> None:
    (pool,) = guarded.storage.of_type("AWS::Cognito::UserPool").values()
    assert pool["Properties"]["DeletionProtection"] == "ACTIVE"
    assert pool["DeletionPolicy"] == "Retain"
