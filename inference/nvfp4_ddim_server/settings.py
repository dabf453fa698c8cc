"""The server's settings, read from the environment once, at the entry point."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nvfp4_ddim_contracts.generation import MAX_PIXELS_PER_SIDE, MAX_STEPS, ModelName

from .errors import SettingsError

__all__ = ["ServerSettings"]

_ENVIRONMENT_NAMES = {
    "model_dir": "SM_MODEL_DIR",
    "model_source": "SERVER_MODEL_SOURCE",
    "model_name": "MODEL_NAME",
    "host": "SERVER_HOST",
    "port": "SERVER_PORT",
    "device": "SERVER_DEVICE",
    "min_precision": "SERVER_MIN_PRECISION",
    "instance_type": "SERVER_INSTANCE_TYPE",
    "queue_size": "SERVER_QUEUE_SIZE",
    "max_batch": "SERVER_MAX_BATCH",
    "max_steps": "SERVER_MAX_STEPS",
    "max_pixels": "SERVER_MAX_PIXELS",
    "max_body_bytes": "SERVER_MAX_BODY_BYTES",
    "request_timeout_seconds": "SERVER_REQUEST_TIMEOUT_SECONDS",
    "drain_seconds": "SERVER_DRAIN_SECONDS",
    "artifact_bucket": "ARTIFACT_BUCKET",
    "model_cache_dir": "SERVER_MODEL_CACHE_DIR",
    "model_disk_bytes": "SERVER_MODEL_DISK_BYTES",
    "model_memory_bytes": "SERVER_MODEL_MEMORY_BYTES",
    "upload_bucket": "UPLOAD_BUCKET",
    "job_table_name": "JOB_TABLE_NAME",
    "log_level": "LOG_LEVEL",
}


class ServerSettings(BaseModel):
    """Everything an operator can set. An unset or empty variable means the default.

    Attributes:
        model_dir: Directory of the NVFP4 artifact (`SM_MODEL_DIR`).
        model_source: Where the server's own model comes from (`SERVER_MODEL_SOURCE`): the
            `directory` above, or the `registry`, for hosts that mount nothing there.
        model_name: When set, the artifact must carry this name, or the server refuses to start:
            a guard against the wrong prefix in S3 (`MODEL_NAME`). What to take of a registry.
        host: Address to listen on (`SERVER_HOST`).
        port: Port to listen on; 8080 is what SageMaker calls (`SERVER_PORT`).
        device: Torch device, such as `cpu` or `cuda` (`SERVER_DEVICE`).
        min_precision: `nvfp4` refuses to start on a machine without FP4 units
            (`SERVER_MIN_PRECISION`).
        instance_type: The machine's name with its host, such as ml.g6.xlarge
            (`SERVER_INSTANCE_TYPE`). Answers repeat it: where several types may serve, only the
            container knows which one did. Answers say nothing when unset.
        queue_size: Requests that may wait beside the ones running (`SERVER_QUEUE_SIZE`).
        max_batch: Pictures sampled together (`SERVER_MAX_BATCH`). At 1 the same prompt and seed
            give the same bytes whatever else runs: matrix products of another batch size add up
            in another order. Raise it where throughput matters more, as on a GPU.
        max_steps: Most sampler steps of one request (`SERVER_MAX_STEPS`).
        max_pixels: Most pixels of one picture, width times height (`SERVER_MAX_PIXELS`).
        max_body_bytes: Most bytes of a request's body (`SERVER_MAX_BODY_BYTES`); the files of a
            task may be inside it.
        request_timeout_seconds: From the arrival of a request to its answer, waiting included
            (`SERVER_REQUEST_TIMEOUT_SECONDS`). The default lets the server answer before
            SageMaker's asynchronous default of 900 seconds cuts it off.
        drain_seconds: How long running requests may go on after SIGTERM
            (`SERVER_DRAIN_SECONDS`). SageMaker kills after 30 seconds.
        artifact_bucket: S3 bucket of the model registry; requests may name any model that is live
            there (`ARTIFACT_BUCKET`). Only the model in `model_dir` when unset.
        model_cache_dir: Where models of the registry are kept (`SERVER_MODEL_CACHE_DIR`).
        model_disk_bytes: Most disk that they may take (`SERVER_MODEL_DISK_BYTES`).
        model_memory_bytes: Most memory that the weights of loaded models may take, beside the one
            in `model_dir` (`SERVER_MODEL_MEMORY_BYTES`).
        upload_bucket: S3 bucket of callers' uploads, which tasks' requests name by key
            (`UPLOAD_BUCKET`). Files come inside requests only when unset.
        job_table_name: DynamoDB table to report progress to (`JOB_TABLE_NAME`); none when unset.
        log_level: Least level logged (`LOG_LEVEL`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_dir: Path = Path("/opt/ml/model")
    model_source: Literal["directory", "registry"] = "directory"
    model_name: ModelName | None = None
    host: str = "0.0.0.0"  # noqa: S104 - a container listens on every interface
    port: int = Field(8080, ge=1, le=65_535)
    device: str = Field("cpu", min_length=1)
    min_precision: Literal["any", "nvfp4"] = "any"
    instance_type: str | None = Field(None, max_length=63)
    queue_size: int = Field(8, ge=0)
    max_batch: int = Field(1, ge=1, le=64)
    max_steps: int = Field(MAX_STEPS, ge=1, le=MAX_STEPS)
    max_pixels: int = Field(MAX_PIXELS_PER_SIDE**2, ge=64)
    max_body_bytes: int = Field(16 * 2**20, ge=1_024)
    request_timeout_seconds: float = Field(840.0, gt=0, le=3_600)
    drain_seconds: float = Field(24.0, ge=0)
    artifact_bucket: str | None = None
    model_cache_dir: Path = Path("/tmp/nvfp4-ddim/models")  # noqa: S108 - the container's own
    model_disk_bytes: int = Field(16 * 2**30, ge=2**20)
    model_memory_bytes: int = Field(4 * 2**30, ge=2**20)
    upload_bucket: str | None = None
    job_table_name: str | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from environment variables.

        Args:
            environ: The variables; the process's own when None.

        Raises:
            SettingsError: A variable's value can't be used. Names every such variable.
        """
        environ = os.environ if environ is None else environ
        given = {
            field: environ[name] for field, name in _ENVIRONMENT_NAMES.items() if environ.get(name)
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            faults = [
                f"{_ENVIRONMENT_NAMES[str(fault['loc'][0])]}={fault['input']!r}: {fault['msg']}"
                for fault in error.errors()
            ]
            raise SettingsError("; ".join(faults)) from error
