"""The API, the workers behind it and the console."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.api_functions import ApiFunctions
from infra.constructs.dead_letters import publish_dead_letters
from infra.constructs.http_api import HttpApi
from infra.constructs.job_table import OWNER_INDEX, STATE_INDEX
from infra.constructs.job_workers import JobWorkers, LaneTargets
from infra.constructs.published_files import FilePublisher, PublishedFiles
from infra.constructs.python_function import FunctionParts
from infra.constructs.webhooks import WebhookQueue, Webhooks
from infra.job_values import job_values
from infra.lambda_bundle import LambdaBundle
from infra.paths import WEB
from infra.stages import StageConfig

from .batch import BatchStack
from .inference import InferenceStack
from .storage import StorageStack

__all__ = ["ApiStack"]


class ApiStack(cdk.Stack):
    """What callers see.

    Attributes:
        http: The REST API.
        dispatch: Feeds the endpoint from the job table.
        dead_letters: Every dead-letter queue of the stack, by what it holds.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        storage: StorageStack,
        inference: InferenceStack,
        batch: BatchStack,
        bundle: LambdaBundle,
        env: cdk.Environment | None = None,
    ) -> None:
        """Define the stack."""
        super().__init__(scope, construct_id, env=env, description="nvfp4-ddim: API and console")
        # By its ARN alone: no statement may flow back into the storage stack.
        key = kms.Key.from_key_arn(self, "Key", storage.key.key_arn)
        calls = WebhookQueue(self, "WebhookQueue", config=config, key=key)
        people_key = _people_key(self)
        parts = FunctionParts(
            config=config,
            bundle=bundle,
            values=_values(config, storage, inference, calls)
            | {"BATCH_QUEUE_URL": batch.ended_jobs.queue_url, "PEOPLE_USAGE_KEY": people_key},
        )
        functions = ApiFunctions(
            self,
            "Functions",
            parts=parts,
            storage=storage.jobs,
            signing_key=storage.signing_key,
            webhook_secret=calls.secret,
        )
        self.http = HttpApi(
            self,
            "Http",
            config=config,
            routes=functions.routes,
            authorizer=functions.authorizer,
            people_key=people_key,
            allowed_origin=storage.cdn.base_url,
        )
        workers = JobWorkers(
            self,
            "Workers",
            parts=parts,
            storage=storage.jobs,
            key=key,
            lanes=LaneTargets(
                endpoint_arn=inference.endpoint.endpoint.ref,
                functions=tuple(inference.functions.values()),
                notifications=(inference.outcomes.succeeded, inference.outcomes.failed),
            ),
        )
        webhooks = Webhooks(
            self,
            "Webhooks",
            parts=parts,
            table=storage.table,
            calls=calls,
            batch_queue=batch.ended_jobs,
            signing_key=storage.signing_key,
            key=key,
        )
        self.dispatch = workers.dispatch
        self.dead_letters = {**workers.dead_letters, **webhooks.dead_letters}
        publish_dead_letters(self, self.dead_letters)
        PublishedFiles(
            self,
            "ConsoleFiles",
            publisher=FilePublisher(self, "Publisher", config=config, bundle=bundle),
            bucket=storage.console,
            source=WEB,
            inline={"config.json": self.to_json_string(_console_configuration(self.http, storage))},
        )
        for name, value, description in (
            ("ApiUrl", self.http.base_url, "Base of /v1/jobs and the other paths"),
            ("ConsoleUrl", f"{storage.cdn.base_url}/", "The console page"),
            ("CdnUrl", storage.cdn.base_url, "Base of results and artifacts"),
            (
                "ApiKeyId",
                self.http.key.key_id,
                "aws apigateway get-api-key --include-value --api-key ID",
            ),
            ("UserPoolId", storage.people.pool.user_pool_id, "Invite people into this user pool"),
            ("SignInClientId", storage.console_client.client_id, "The console's client of it"),
            ("JobTableName", storage.table.table_name, "The job table"),
        ):
            cdk.CfnOutput(self, name, value=value, description=description)


def _people_key(stack: cdk.Stack) -> str:
    """Value of the API key that people's calls are counted on.

    It is no secret, since the authoriser refuses it as a key; it has to be unique in the region.
    """
    return f"people-{cdk.Fn.select(2, cdk.Fn.split('/', stack.stack_id))}"


def _console_configuration(api: HttpApi, storage: StorageStack) -> dict[str, object]:
    """What the console reads before anything else."""
    sign_in = {"url": storage.people.sign_in_url, "clientId": storage.console_client.client_id}
    return {"apiUrl": api.base_url, "signIn": sign_in}


def _values(
    config: StageConfig, storage: StorageStack, inference: InferenceStack, calls: WebhookQueue
) -> dict[str, str]:
    """Everything that a function's settings may ask for, by the variable's name."""
    times = config.times
    return {
        **job_values(config, storage),
        "ALLOWED_ORIGIN": storage.cdn.base_url,
        "CDN_BASE_URL": storage.cdn.base_url,
        "CDN_PUBLIC_KEY_ID": storage.signing_key.public_key.public_key_id,
        "CDN_SIGNING_SECRET_ID": storage.signing_key.secret.secret_arn,
        "ENDPOINT_NAME": inference.endpoint.endpoint.attr_endpoint_name,
        "MAX_ATTEMPTS": str(times.max_attempts),
        "MAX_EVENT_STREAMS_PER_CALLER": str(config.max_event_streams_per_caller),
        "OWNER_INDEX_NAME": OWNER_INDEX,
        "PRIVATE_WEBHOOKS": str(config.private_webhooks).lower(),
        "STATE_INDEX_NAME": STATE_INDEX,
        "TOKEN_CLIENT_ID": storage.console_client.client_id,
        "TOKEN_ISSUER": storage.people.issuer,
        "TOKEN_KEYS_URL": storage.people.keys_url,
        "URL_LIFETIME_SECONDS": str(times.url_lifetime_seconds),
        "WEBHOOK_QUEUE_URL": calls.queue.queue_url,
        "WEBHOOK_SECRET_ID": calls.secret.secret_arn,
        **{
            f"{lane.upper()}_FUNCTION_NAME": function.function_name
            for lane, function in inference.functions.items()
        },
    }
