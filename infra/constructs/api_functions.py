"""The functions behind the API's routes, each with the rights of its one operation."""

import aws_cdk as cdk
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from lambdas.settings import (
    AuthorizeSettings,
    CancelJobSettings,
    CreateImageSettings,
    CreateJobSettings,
    CreateUploadSettings,
    GetJobSettings,
    GetWebhookSecretSettings,
    ListJobsSettings,
    ListModelsSettings,
    ListTasksSettings,
    Settings,
    StreamJobEventsSettings,
)
from nvfp4_ddim_contracts import JobRequest, UploadRequest
from nvfp4_ddim_contracts.images import ImagesRequest
from nvfp4_ddim_contracts.keys import MODELS_PREFIX, RESULTS_PREFIX, UPLOADS_PREFIX
from nvfp4_ddim_contracts.table import STOP_PARTITION, STREAM_PARTITIONS

from .grants import allow, allow_key_use, list_objects, read_objects, write_objects
from .http_api import Route
from .job_places import JobStorage
from .job_table import OWNER_INDEX
from .python_function import FunctionParts, PythonFunction
from .signing_key import SigningKey

__all__ = ["ApiFunctions"]

# API Gateway gives up after 29 s; a function that runs longer answers nobody.
_TIMEOUT = cdk.Duration.seconds(29)
# A stream ends itself before this and its client comes back; an open one is paid for by the second.
_STREAM_TIMEOUT = cdk.Duration.minutes(5)
_POINTERS = f"{MODELS_PREFIX}*/live.json"


class ApiFunctions(Construct):
    """Functions and routes.

    Attributes:
        routes: All operations.
        authorizer: Names the caller.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        parts: FunctionParts,
        storage: JobStorage,
        signing_key: SigningKey,
        webhook_secret: secretsmanager.ISecret,
    ) -> None:
        """Define them.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            parts: What the functions have in common.
            storage: Where jobs, finished pictures and the pointers to live models lie.
            signing_key: Signs links to them.
            webhook_secret: What callers' webhook secrets derive from.
        """
        super().__init__(scope, construct_id)
        self._parts = parts
        table, artifacts, results = storage.table, storage.artifacts, storage.results
        create_job = self._function("create_job", CreateJobSettings)
        create_image = self._function("create_image", CreateImageSettings)
        get_job = self._function("get_job", GetJobSettings)
        cancel_job = self._function("cancel_job", CancelJobSettings)
        list_jobs = self._function("list_jobs", ListJobsSettings)
        list_models = self._function("list_models", ListModelsSettings)
        list_tasks = self._function("list_tasks", ListTasksSettings)
        get_webhook_secret = self._function("get_webhook_secret", GetWebhookSecretSettings)
        create_upload = self._function("create_upload", CreateUploadSettings)
        stream_job_events = self._streaming_function("stream_job_events", StreamJobEventsSettings)
        self.authorizer = self._function("authorize", AuthorizeSettings)

        for function in (create_job, create_image):
            table.allow(function, "GetItem", "PutItem")
        for function in (get_job, stream_job_events):
            table.allow(function, "GetItem")
        table.allow(stream_job_events, "UpdateItem", partition=STREAM_PARTITIONS)
        table.allow(cancel_job, "GetItem", "UpdateItem")
        table.allow(list_jobs, "Query", index=OWNER_INDEX)
        for function in (create_job, create_image, list_models):
            read_objects(function, artifacts, _POINTERS)
            list_objects(function, artifacts, MODELS_PREFIX)
        table.allow(create_upload, "GetItem", partition=STOP_PARTITION)
        # S3 accepts a form with the rights of the role that signed it.
        write_objects(create_upload, results, f"{UPLOADS_PREFIX}*")
        # A task's files: those that came inside the request are put beside the uploads.
        write_objects(create_job, results, f"{UPLOADS_PREFIX}*")
        read_objects(create_job, results, f"{UPLOADS_PREFIX}*")
        list_objects(create_job, results, UPLOADS_PREFIX)
        read_objects(create_image, results, f"{RESULTS_PREFIX}*")
        for function in (create_job, create_image, get_job, list_jobs, stream_job_events):
            allow(function, ["secretsmanager:GetSecretValue"], [signing_key.secret.secret_arn])
            allow_key_use(function, signing_key.secret.encryption_key, encrypt=False)
        allow(get_webhook_secret, ["secretsmanager:GetSecretValue"], [webhook_secret.secret_arn])
        allow_key_use(get_webhook_secret, webhook_secret.encryption_key, encrypt=False)
        self.routes = (
            Route("POST", "/v1/jobs", create_job, JobRequest),
            Route("GET", "/v1/jobs", list_jobs),
            Route("GET", "/v1/jobs/{job_id}", get_job),
            Route("GET", "/v1/jobs/{job_id}/events", stream_job_events),
            Route("DELETE", "/v1/jobs/{job_id}", cancel_job),
            Route("GET", "/v1/models", list_models),
            Route("GET", "/v1/tasks", list_tasks),
            Route("GET", "/v1/webhooks/secret", get_webhook_secret),
            Route("POST", "/v1/uploads", create_upload, UploadRequest),
            Route("POST", "/v1/images/generations", create_image, ImagesRequest),
        )

    def _streaming_function(self, handler: str, settings: type[Settings]) -> PythonFunction:
        return PythonFunction(
            self,
            _construct_id(handler),
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler=handler,
            timeout=_STREAM_TIMEOUT,
            environment=self._parts.environment(settings),
            streams=True,
            reserved_concurrency=self._parts.config.max_event_streams,
        )

    def _function(self, handler: str, settings: type[Settings]) -> PythonFunction:
        return PythonFunction(
            self,
            _construct_id(handler),
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler=handler,
            timeout=_TIMEOUT,
            # Half a vCPU more than the least: signing and validation are CPU time.
            memory_mb=1024,
            environment=self._parts.environment(settings),
        )


def _construct_id(handler: str) -> str:
    return "".join(word.title() for word in handler.split("_"))
