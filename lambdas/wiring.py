"""Builds each function's services from its settings: the only place that knows all adapters.

Those of batches and quantisations stand in `batch_wiring` and `quantization_wiring`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from lambdas.adapters import clients
from lambdas.adapters.cloudfront_signer import CloudFrontUrls
from lambdas.adapters.dynamodb_held import DynamoDBHeldJobs
from lambdas.adapters.dynamodb_jobs import DynamoDBJobs
from lambdas.adapters.dynamodb_stop import DynamoDBStopFlag
from lambdas.adapters.dynamodb_streams import DynamoDBStreamSlots
from lambdas.adapters.job_metrics import JobMetrics
from lambdas.adapters.kms_signer import KmsSigner
from lambdas.adapters.lambda_tasks import LambdaTasks
from lambdas.adapters.s3_archive import S3ZipArchive
from lambdas.adapters.s3_catalogue import S3Catalogue
from lambdas.adapters.s3_files import S3Files
from lambdas.adapters.s3_objects import S3Objects
from lambdas.adapters.s3_uploads import S3Uploads
from lambdas.adapters.sagemaker_async import SageMakerAsync
from lambdas.adapters.sagemaker_calls import SageMakerCalls
from lambdas.adapters.scaling import ScalingCapacity
from lambdas.adapters.secrets import SecretsManagerStore
from lambdas.adapters.sns import SnsTopics
from lambdas.adapters.sqs import SqsQueue
from lambdas.adapters.system import RandomIds, SystemClock
from lambdas.adapters.webhook_calls import WebhookCalls
from lambdas.domain.callers import CallerService
from lambdas.domain.calling import EndpointCaller
from lambdas.domain.catalogue import ModelService
from lambdas.domain.dispatching import JobDispatcher
from lambdas.domain.holding import JobReleaser
from lambdas.domain.images import ImageService
from lambdas.domain.job_events import JobWatcher
from lambdas.domain.jobs import JobService
from lambdas.domain.ports import InferenceQueue
from lambdas.domain.presenting import JobPresenter
from lambdas.domain.publishing import FilePublisher
from lambdas.domain.recording import ResultRecorder
from lambdas.domain.release_signing import ReleaseSigning
from lambdas.domain.signing import SigningKeyService
from lambdas.domain.stopping import ServiceGate, ServiceSwitch
from lambdas.domain.stream_limits import StreamLimiter
from lambdas.domain.submission import JobSubmitter, SubmissionPolicy
from lambdas.domain.sweeping import JobSweeper
from lambdas.domain.task_inputs import TaskInputs
from lambdas.domain.uploads import UploadIssuer
from lambdas.domain.webhooks import WebhookAnnouncer, WebhookDeliverer, WebhookSecrets
from lambdas.settings import (
    AnnounceJobSettings,
    AuthorizeSettings,
    CallEndpointSettings,
    CancelJobSettings,
    CreateImageSettings,
    CreateJobSettings,
    CreateUploadSettings,
    DeliverWebhookSettings,
    DispatchJobSettings,
    GetJobSettings,
    GetWebhookSecretSettings,
    ListJobsSettings,
    ListModelsSettings,
    ListTasksSettings,
    RecordResultSettings,
    StopSpendingSettings,
    StreamJobEventsSettings,
    SubmitBatchSettings,
    SweepJobsSettings,
)
from nvfp4_ddim_contracts import Lane
from nvfp4_ddim_contracts.task_list import TaskList, list_tasks

__all__ = [
    "JobCreation",
    "JobReading",
    "announcer",
    "archive",
    "caller_service",
    "deliverer",
    "dispatcher",
    "endpoint_caller",
    "file_publisher",
    "image_service",
    "job_creation",
    "job_listing",
    "job_reading",
    "job_service",
    "job_store",
    "job_submitter",
    "job_watcher",
    "model_service",
    "recorder",
    "service_gate",
    "service_switch",
    "signing_keys",
    "sweeper",
    "task_list",
    "upload_issuer",
    "webhook_secrets",
]

_CLOCK = SystemClock()


@dataclass(frozen=True)
class JobReading:
    """What `get_job` and `list_jobs` need."""

    jobs: JobService
    presenter: JobPresenter


@dataclass(frozen=True)
class JobCreation(JobReading):
    """What `create_job` needs."""

    submitter: JobSubmitter


def caller_service(settings: AuthorizeSettings) -> CallerService:
    """Service of `authorize`."""
    # The token library is on no other function's path.
    from lambdas.adapters.cognito_tokens import CognitoTokens
    from lambdas.adapters.json_web_keys import JsonWebKeys, fetch_over_http

    keys = JsonWebKeys(fetch_over_http(settings.token_keys_url), _CLOCK)
    return CallerService(
        tokens=CognitoTokens(settings.token_issuer, settings.token_client_id, keys),
        people_key=settings.people_usage_key,
    )


def job_creation(settings: CreateJobSettings) -> JobCreation:
    """Services of `create_job`."""
    store = job_store(settings.table_name)
    return JobCreation(
        jobs=JobService(store, _CLOCK),
        presenter=JobPresenter(_signer(settings), _CLOCK),
        submitter=job_submitter(settings, store),
    )


def image_service(settings: CreateImageSettings) -> ImageService:
    """Service of `create_image`."""
    store = job_store(settings.table_name)
    return ImageService(
        submitter=job_submitter(settings, store),
        jobs=JobService(store, _CLOCK),
        results=S3Objects(clients.s3(), settings.results_bucket),
        signer=_signer(settings),
        clock=_CLOCK,
    )


def job_reading(settings: GetJobSettings) -> JobReading:
    """Services of `get_job`."""
    return JobReading(
        jobs=JobService(job_store(settings.table_name), _CLOCK),
        presenter=JobPresenter(_signer(settings), _CLOCK),
    )


def job_listing(settings: ListJobsSettings) -> JobReading:
    """Services of `list_jobs`."""
    store = DynamoDBJobs(
        clients.dynamodb(), settings.table_name, owner_index=settings.owner_index_name
    )
    return JobReading(JobService(store, _CLOCK), JobPresenter(_signer(settings), _CLOCK))


def job_service(settings: CancelJobSettings) -> JobService:
    """Service of `cancel_job`."""
    return JobService(job_store(settings.table_name), _CLOCK)


def job_watcher(settings: StreamJobEventsSettings) -> JobWatcher:
    """Service of `stream_job_events`."""
    reading = job_reading(settings)
    slots = DynamoDBStreamSlots(clients.dynamodb(), settings.table_name)
    limiter = StreamLimiter(slots, _CLOCK, settings.max_event_streams_per_caller)
    return JobWatcher(reading.jobs, reading.presenter, _CLOCK, limiter)


def model_service(settings: ListModelsSettings) -> ModelService:
    """Service of `list_models`."""
    return ModelService(S3Catalogue(clients.s3(), settings.artifact_bucket, _CLOCK))


def task_list(_settings: ListTasksSettings) -> Callable[[], TaskList]:
    """Service of `list_tasks`."""
    return list_tasks


def dispatcher(settings: DispatchJobSettings) -> JobDispatcher:
    """Service of `dispatch_job`."""
    return JobDispatcher(
        jobs=job_store(settings.table_name),
        results=S3Objects(clients.s3(), settings.results_bucket),
        lanes=_lanes(settings),
        gate=service_gate(settings.table_name),
        held=DynamoDBHeldJobs(clients.dynamodb(), settings.table_name),
    )


def endpoint_caller(settings: CallEndpointSettings) -> EndpointCaller:
    """Service of `call_endpoint`."""
    return EndpointCaller(
        jobs=job_store(settings.table_name),
        objects=S3Objects(clients.s3(), settings.results_bucket),
        endpoint=SageMakerCalls(clients.endpoint_calls(), settings.called_endpoint_name),
        announcements=SnsTopics(
            clients.sns(), settings.success_topic_arn, settings.error_topic_arn
        ),
        source=settings.called_endpoint_name,
        gate=service_gate(settings.table_name),
        held=DynamoDBHeldJobs(clients.dynamodb(), settings.table_name),
    )


def recorder(settings: RecordResultSettings) -> ResultRecorder:
    """Service of `record_result`."""
    return ResultRecorder(
        jobs=job_store(settings.table_name),
        results=S3Objects(clients.s3(), settings.results_bucket),
        clock=_CLOCK,
        max_attempts=settings.max_attempts,
        machines=settings.lane_machines,
        meter=JobMetrics(),
    )


def sweeper(settings: SweepJobsSettings) -> JobSweeper:
    """Service of `sweep_jobs`."""
    store = DynamoDBJobs(
        clients.dynamodb(), settings.table_name, state_index=settings.state_index_name
    )
    held = DynamoDBHeldJobs(
        clients.dynamodb(), settings.table_name, state_index=settings.state_index_name
    )
    return JobSweeper(store, _CLOCK, service_gate(settings.table_name), JobReleaser(held))


def service_switch(settings: StopSpendingSettings) -> ServiceSwitch:
    """Service of `stop_spending`."""
    return ServiceSwitch(
        flag=DynamoDBStopFlag(clients.dynamodb(), settings.table_name),
        capacity=ScalingCapacity(clients.application_autoscaling(), settings.scalable_targets),
        clock=_CLOCK,
    )


def announcer(settings: AnnounceJobSettings) -> WebhookAnnouncer:
    """Service of `announce_job`."""
    return WebhookAnnouncer(SqsQueue(clients.sqs(), settings.webhook_queue_url))


def deliverer(settings: DeliverWebhookSettings) -> WebhookDeliverer:
    """Service of `deliver_webhook`."""
    return WebhookDeliverer(
        jobs=job_store(settings.table_name),
        queue=SqsQueue(clients.sqs(), settings.webhook_queue_url),
        sender=WebhookCalls(allow_private=settings.private_webhooks),
        secrets=webhook_secrets(settings),
        presenter=JobPresenter(_signer(settings), _CLOCK),
        clock=_CLOCK,
    )


def webhook_secrets(
    settings: GetWebhookSecretSettings | DeliverWebhookSettings,
) -> WebhookSecrets:
    """Service of `get_webhook_secret`."""
    return WebhookSecrets(
        SecretsManagerStore(clients.secrets_manager()), settings.webhook_secret_id
    )


def upload_issuer(settings: CreateUploadSettings) -> UploadIssuer:
    """Service of `create_upload`."""
    store = S3Uploads(clients.s3_forms(), settings.results_bucket)
    return UploadIssuer(store, _CLOCK, RandomIds(), service_gate(settings.table_name))


def file_publisher(
    bucket: str, check_time: Callable[[], None], signing_key: str | None = None
) -> FilePublisher:
    """Service of `publish_files`, for one bucket and one key that signs, if any."""
    signing = ReleaseSigning(KmsSigner(clients.kms(), signing_key)) if signing_key else None
    return FilePublisher(S3Files(clients.s3(), bucket), check_time, signing)


def archive(bucket: str, key: str) -> S3ZipArchive:
    """A zip in S3."""
    return S3ZipArchive(clients.s3(), bucket, key)


def signing_keys() -> SigningKeyService:
    """Service of `signing_key`."""
    # cryptography's key generation is on no other function's path.
    from lambdas.adapters.rsa_keys import RsaKeyPairs

    return SigningKeyService(SecretsManagerStore(clients.secrets_manager()), RsaKeyPairs())


def _lanes(settings: DispatchJobSettings) -> dict[Lane, InferenceQueue]:
    functions = {
        Lane.LAMBDA: settings.lambda_function_name,
        Lane.REALTIME: settings.realtime_function_name,
        Lane.SERVERLESS: settings.serverless_function_name,
    }
    lanes: dict[Lane, InferenceQueue] = {
        lane: LambdaTasks(clients.functions(), name) for lane, name in functions.items() if name
    }
    lanes[Lane.ASYNC] = SageMakerAsync(clients.sagemaker_runtime(), settings.endpoint_name)
    return lanes


def service_gate(table_name: str) -> ServiceGate:
    """Lets work in while the service is not stopped."""
    return ServiceGate(DynamoDBStopFlag(clients.dynamodb(), table_name), _CLOCK)


def job_store(table_name: str) -> DynamoDBJobs:
    """The job table, for who needs no index."""
    return DynamoDBJobs(clients.dynamodb(), table_name)


def _signer(
    settings: GetJobSettings | CreateJobSettings | DeliverWebhookSettings,
) -> CloudFrontUrls:
    return CloudFrontUrls(
        secrets=SecretsManagerStore(clients.secrets_manager()),
        secret_id=settings.cdn_signing_secret_id,
        public_key_id=settings.cdn_public_key_id,
        base_url=settings.cdn_base_url,
        lifetime=timedelta(seconds=settings.url_lifetime_seconds),
    )


def job_submitter(
    settings: CreateJobSettings | SubmitBatchSettings, store: DynamoDBJobs
) -> JobSubmitter:
    """Stores new jobs."""
    return JobSubmitter(
        jobs=store,
        catalogue=S3Catalogue(clients.s3(), settings.artifact_bucket, _CLOCK),
        clock=_CLOCK,
        ids=RandomIds(),
        policy=SubmissionPolicy(
            default_model=settings.default_model,
            lifetime=timedelta(seconds=settings.job_lifetime_seconds),
            deadline=timedelta(seconds=settings.job_deadline_seconds),
            lanes=settings.lane_offers,
        ),
        gate=service_gate(settings.table_name),
        inputs=TaskInputs(S3Uploads(clients.s3(), settings.results_bucket), RandomIds()),
    )
