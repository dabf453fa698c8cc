"""What each function reads from its environment, once per process, into a frozen typed model.

A field `table_name` is the environment variable `TABLE_NAME`. A function's model lists exactly
what the function needs, so that `infra/` gives it no more. `POWERTOOLS_SERVICE_NAME`,
`POWERTOOLS_METRICS_NAMESPACE` and `LOG_LEVEL` are read by Powertools itself; the functions
`publish_files` and `signing_key` need nothing else.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    StringConstraints,
    field_validator,
    model_validator,
)

from nvfp4_ddim_contracts import LaneOffers
from nvfp4_ddim_contracts.generation import ModelName
from nvfp4_ddim_contracts.machines import LaneMachines
from nvfp4_ddim_contracts.operations import ScalableTarget

__all__ = [
    "AnnounceJobSettings",
    "AuthorizeSettings",
    "CallEndpointSettings",
    "CancelJobSettings",
    "CreateImageSettings",
    "CreateJobSettings",
    "CreateUploadSettings",
    "DeliverWebhookSettings",
    "DispatchJobSettings",
    "FinishBatchSettings",
    "GetJobSettings",
    "GetWebhookSecretSettings",
    "HttpSettings",
    "ListJobsSettings",
    "ListModelsSettings",
    "ListTasksSettings",
    "PrepareBatchSettings",
    "PrepareQuantizationSettings",
    "PublishQuantizationSettings",
    "RecordResultSettings",
    "ReportQuantizationSettings",
    "Settings",
    "SettleBatchSettings",
    "StopSpendingSettings",
    "StreamJobEventsSettings",
    "SubmitBatchSettings",
    "SweepJobsSettings",
]

NonEmpty = Annotated[str, StringConstraints(min_length=1)]


class Settings(BaseModel):
    """Base: frozen, filled from upper-case environment variables, other variables ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=str.upper, validate_by_name=True
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Args:
            environment: Usually `os.environ`.

        Returns:
            The frozen settings.

        Raises:
            pydantic.ValidationError: A variable is missing or out of range; the message names it.
        """
        return cls.model_validate(dict(environment))


class HttpSettings(Settings):
    """What every function behind API Gateway reads."""

    # Callers authenticate by a header, never by a cookie, so that any origin is safe.
    allowed_origin: str = Field("*", description="Value of Access-Control-Allow-Origin.")


class AuthorizeSettings(Settings):
    """API Gateway's authorizer."""

    token_issuer: NonEmpty = Field(description="The `iss` of the user pool's tokens.")
    token_client_id: NonEmpty = Field(description="The pool's client whose tokens count.")
    token_keys_url: NonEmpty = Field(description="Where the pool's JSON Web Key Set lies.")
    people_usage_key: NonEmpty = Field(description="API key that people's calls are counted on.")


class _Table(Settings):
    table_name: NonEmpty


class _Cdn(Settings):
    cdn_base_url: NonEmpty = Field(description="Such as https://d111.cloudfront.net, no slash.")
    cdn_public_key_id: NonEmpty = Field(description="CloudFront's id of the public key.")
    cdn_signing_secret_id: NonEmpty = Field(description="Secret with the private key as PEM.")
    url_lifetime_seconds: int = Field(3600, ge=60, le=604_800)


class _Submission(Settings):
    artifact_bucket: NonEmpty
    results_bucket: NonEmpty
    default_model: ModelName
    job_lifetime_seconds: int = Field(
        604_800, ge=3600, description="After its creation the item is deleted by DynamoDB's TTL."
    )
    job_deadline_seconds: int = Field(
        3600, ge=60, description="After its creation a job that has not ended is expired."
    )

    lane_offers: LaneOffers = Field(
        LaneOffers(), description="The stage's lanes and what each takes, as JSON."
    )

    @field_validator("lane_offers", mode="before")
    @classmethod
    def _read_offers(cls, value: object) -> object:
        return LaneOffers.model_validate_json(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _deadline_comes_first(self) -> Self:
        if self.job_deadline_seconds > self.job_lifetime_seconds:
            raise ValueError("JOB_DEADLINE_SECONDS must not exceed JOB_LIFETIME_SECONDS.")
        return self


class CreateJobSettings(HttpSettings, _Table, _Cdn, _Submission):
    """`POST /v1/jobs`."""


class CreateImageSettings(CreateJobSettings):
    """`POST /v1/images/generations`; reads the picture itself for `b64_json`."""


class CreateUploadSettings(HttpSettings, _Table):
    """`POST /v1/uploads`."""

    results_bucket: NonEmpty


class GetJobSettings(HttpSettings, _Table, _Cdn):
    """`GET /v1/jobs/{job_id}`."""


class StreamJobEventsSettings(GetJobSettings):
    """`GET /v1/jobs/{job_id}/events`."""

    max_event_streams_per_caller: int = Field(
        10, ge=1, le=100, description="How many one caller may have open at a time."
    )


class ListJobsSettings(GetJobSettings):
    """`GET /v1/jobs`."""

    owner_index_name: NonEmpty


class CancelJobSettings(HttpSettings, _Table):
    """`DELETE /v1/jobs/{job_id}`."""


class ListTasksSettings(HttpSettings):
    """`GET /v1/tasks`."""


class ListModelsSettings(HttpSettings):
    """`GET /v1/models`."""

    artifact_bucket: NonEmpty


class DispatchJobSettings(_Table):
    """DynamoDB stream to the lanes. A lane without a function is not there."""

    results_bucket: NonEmpty
    endpoint_name: NonEmpty
    lambda_function_name: NonEmpty | None = None
    realtime_function_name: NonEmpty | None = None
    serverless_function_name: NonEmpty | None = None


class CallEndpointSettings(_Table):
    """Asynchronous invocations by the dispatcher, for one endpoint."""

    results_bucket: NonEmpty
    called_endpoint_name: NonEmpty
    success_topic_arn: NonEmpty
    error_topic_arn: NonEmpty


class _WebhookSecret(Settings):
    webhook_secret_id: NonEmpty = Field(description="Secret that callers' secrets derive from.")


class GetWebhookSecretSettings(HttpSettings, _WebhookSecret):
    """`GET /v1/webhooks/secret`."""


class _WebhookQueue(Settings):
    webhook_queue_url: NonEmpty


class _BatchQueue(Settings):
    batch_queue_url: NonEmpty


class AnnounceJobSettings(_WebhookQueue, _BatchQueue):
    """DynamoDB stream to the queues of those who wait for ended jobs."""


class DeliverWebhookSettings(_Table, _Cdn, _WebhookSecret, _WebhookQueue):
    """The queue of webhook calls."""

    private_webhooks: bool = Field(
        default=False, description="Whether this machine and private networks may be called."
    )


class RecordResultSettings(_Table):
    """Notifications of asynchronous inference, by SQS."""

    results_bucket: NonEmpty
    max_attempts: int = Field(3, ge=1, le=10)
    lane_machines: LaneMachines = Field(
        description="What runs the jobs of each lane, as JSON, to estimate their cost."
    )

    @field_validator("lane_machines", mode="before")
    @classmethod
    def _read_machines(cls, value: object) -> object:
        return LaneMachines.model_validate_json(value) if isinstance(value, str) else value


class SweepJobsSettings(_Table):
    """The schedule that expires overdue jobs."""

    state_index_name: NonEmpty


class StopSpendingSettings(_Table):
    """The topic that says that the budget is used up."""

    scalable_targets: Json[tuple[ScalableTarget, ...]]


class PrepareBatchSettings(_Table):
    """First step of a batch."""

    batch_bucket: NonEmpty


class SubmitBatchSettings(_Table, _Submission, _BatchQueue):
    """Middle step of a batch."""

    batch_bucket: NonEmpty


class SettleBatchSettings(_Table):
    """The queue of ended jobs of batches."""

    batch_bucket: NonEmpty
    results_bucket: NonEmpty


class FinishBatchSettings(Settings):
    """Last step of a batch."""

    batch_bucket: NonEmpty
    tolerated_failure_percentage: float = Field(ge=0, le=100)


class PrepareQuantizationSettings(_Table):
    """First step of a quantisation."""

    incoming_bucket: NonEmpty
    artifact_bucket: NonEmpty
    max_model_bytes: int = Field(ge=1, description="Of one dropped model's files together.")
    quantizer: NonEmpty = Field(description="Names the program that quantises: its image.")


class PublishQuantizationSettings(Settings):
    """Step of a quantisation that publishes."""

    incoming_bucket: NonEmpty
    artifact_bucket: NonEmpty
    manifest_key_arn: NonEmpty = Field(description="Signs what is published.")


class ReportQuantizationSettings(Settings):
    """Last step of a quantisation."""

    incoming_bucket: NonEmpty
