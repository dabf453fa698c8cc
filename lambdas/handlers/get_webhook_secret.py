"""`GET /v1/webhooks/secret`: what the caller's webhook calls are signed with."""

from http import HTTPStatus

from lambdas import wiring
from lambdas.domain.webhooks import WebhookSecrets
from lambdas.settings import GetWebhookSecretSettings

from ._http import http_handler
from ._proxy import ApiRequest, ApiResponse

__all__ = ["get_webhook_secret", "handler"]


def get_webhook_secret(request: ApiRequest, secrets: WebhookSecrets) -> ApiResponse:
    """200 with the secret."""
    return ApiResponse(HTTPStatus.OK, secrets.of(request.owner))


handler = http_handler(get_webhook_secret, GetWebhookSecretSettings, wiring.webhook_secrets)
