"""The two jobs of a stage as objects of SageMaker's Python SDK, for notebooks.

Needs the extra `sagemaker` (version 3 of the SDK). Set `SAGEMAKER_VALIDATE_ROLE=false`: the SDK
looks for rights of a general training role, which the stage's has not. Nothing here starts anything
by itself:

    stage = find_stage(clients_of(None, None), "dev")
    order = QuantizationOrder(license="MIT")
    job = quantization_job(stage, "my-model", order, s3=boto3.client("s3"))
    job.run(wait=True)
    model_trainer(stage, "training.tokenizer", {"data": "channel:data/emoji_64.npz"}).train(...)

A job that is started here leaves its result in the bucket; it is not published. A drop of
`quantize.json` does that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lambdas.adapters.s3_dropped import S3DroppedFiles
from nvfp4_ddim_contracts.incoming import (
    ORDER_NAME,
    TASK_NAME,
    TRAINING_JOBS_PREFIX,
    QuantizationOrder,
    QuantizationTask,
    SourceFile,
    incoming_prefix,
    work_key,
)
from nvfp4_ddim_contracts.incoming import (
    quantization_job as job_name,
)

from .errors import OperationsError
from .stage import Stage

if TYPE_CHECKING:
    from sagemaker.core.processing import Processor
    from sagemaker.train import ModelTrainer

__all__ = ["QuantizationRun", "model_trainer", "quantization_job"]

_FOLDER = "/opt/ml/processing"
_ENTRYPOINT = ["python", "-m", "nvfp4_ddim_jobs"]
_INSTALL = (
    "These objects are of SageMaker's Python SDK: pip install 'nvfp4-ddim-optimizer[sagemaker]'."
)


@dataclass(frozen=True)
class QuantizationRun:
    """A quantising job that is ready to be run.

    Attributes:
        name: Of the job.
        processor: The SDK's object.
        inputs: What it reads.
        outputs: What it writes: `artifact/` and `validation.json`.
        output_uri: Where in S3.
    """

    name: str
    processor: "Processor"
    inputs: list[Any]
    outputs: list[Any]
    output_uri: str

    def run(self, *, wait: bool = True, logs: bool = False) -> None:
        """Start it.

        Args:
            wait: Until it has ended.
            logs: Show the container's log meanwhile.
        """
        self.processor.run(
            inputs=self.inputs,
            outputs=self.outputs,
            arguments=["quantize"],
            wait=wait,
            logs=logs,
            job_name=self.name,
        )


def quantization_job(
    stage: Stage,
    name: str,
    order: QuantizationOrder,
    *,
    s3: Any,
    instance_type: str = "ml.m7i.xlarge",
    volume_gb: int = 50,
    max_runtime_seconds: int = 14_400,
    session: Any = None,
) -> QuantizationRun:
    """The job that quantises a model which lies below `incoming/<name>/`.

    Args:
        stage: Where.
        name: The model's.
        order: What to do with it; none has to lie beside it.
        s3: boto3 client of S3; the job's task is written with it.
        instance_type: SageMaker instance type.
        volume_gb: Its disk.
        max_runtime_seconds: After this it is stopped.
        session: The SDK's session; a new one if None.

    Raises:
        OperationsError: The SDK is not installed, or there is no such model.
    """
    try:
        from sagemaker.core.network import NetworkConfig
        from sagemaker.core.processing import Processor
        from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
    except ImportError as error:
        raise OperationsError(_INSTALL) from error
    job = job_name(f"{name} {datetime.now(UTC).isoformat()}")
    bucket, place = stage.incoming_bucket, stage.jobs
    _write_task(S3DroppedFiles(s3, bucket), name, order, job)
    processor = Processor(
        role=place.processing_role_arn,
        image_uri=place.image_uri,
        instance_count=1,
        instance_type=instance_type,
        entrypoint=_ENTRYPOINT,
        volume_size_in_gb=volume_gb,
        output_kms_key=place.key_arn,
        max_runtime_in_seconds=max_runtime_seconds,
        sagemaker_session=session,
        network_config=NetworkConfig(enable_network_isolation=True),
    )
    output_uri = f"s3://{bucket}/{work_key(job, 'output')}"
    output = ProcessingS3Output(
        s3_uri=output_uri, local_path=f"{_FOLDER}/output", s3_upload_mode="EndOfJob"
    )
    return QuantizationRun(
        name=job,
        processor=processor,
        inputs=[
            _input("model", f"s3://{bucket}/{incoming_prefix(name)}"),
            _input("task", f"s3://{bucket}/{work_key(job, 'task/')}"),
        ],
        outputs=[ProcessingOutput(output_name="output", s3_output=output)],
        output_uri=output_uri,
    )


def model_trainer(
    stage: Stage,
    module: str,
    hyperparameters: Mapping[str, str] | None = None,
    *,
    command: str | None = None,
    instance_type: str = "ml.m7i.xlarge",
    volume_gb: int = 30,
    max_runtime_seconds: int = 14_400,
    session: Any = None,
) -> "ModelTrainer":
    """What trains by a script of `training/`; call its `train` with channels.

    Args:
        stage: Where.
        module: The script, such as "training.tokenizer".
        hyperparameters: Its options, without the dashes.
        command: Its subcommand, where it has any.
        instance_type: SageMaker instance type.
        volume_gb: Its disk.
        max_runtime_seconds: After this it is stopped.
        session: The SDK's session; a new one if None.

    Raises:
        OperationsError: The SDK is not installed.
    """
    try:
        from sagemaker.core.training.configs import (
            Compute,
            Networking,
            OutputDataConfig,
            StoppingCondition,
        )
        from sagemaker.train import ModelTrainer
    except ImportError as error:
        raise OperationsError(_INSTALL) from error
    place = stage.jobs
    chosen = {"command": command} if command is not None else {}
    # Without code of its own to send, the SDK leaves the entry point to the image, which SageMaker
    # runs with the argument `train`.
    return ModelTrainer(
        training_image=place.image_uri,
        role=place.training_role_arn,
        base_job_name=re.sub("[^A-Za-z0-9]+", "-", module.replace("training.", "train-")),
        hyperparameters={**(hyperparameters or {}), **chosen, "module": module},
        compute=Compute(instance_type=instance_type, instance_count=1, volume_size_in_gb=volume_gb),
        networking=Networking(enable_network_isolation=True),
        output_data_config=OutputDataConfig(
            s3_output_path=f"s3://{stage.incoming_bucket}/{TRAINING_JOBS_PREFIX.rstrip('/')}",
            kms_key_id=place.key_arn,
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=max_runtime_seconds),
        sagemaker_session=session,
    )


def _write_task(dropped: S3DroppedFiles, name: str, order: QuantizationOrder, job: str) -> None:
    prefix = incoming_prefix(name)
    found = [
        each
        for each in dropped.list(prefix)
        if each.key != prefix + ORDER_NAME and not each.key.endswith("/")
    ]
    if not found:
        raise OperationsError(f"There is no model at s3://{dropped.bucket}/{prefix}.")
    task = QuantizationTask(
        name=name,
        created_at=max(each.modified for each in found).replace(microsecond=0),
        order=order,
        files=tuple(
            SourceFile(path=each.key.removeprefix(prefix), bytes=each.bytes) for each in found
        ),
    )
    key = work_key(job, f"task/{TASK_NAME}")
    dropped.put(key, task.model_dump_json(indent=2).encode(), "application/json")


def _input(name: str, uri: str) -> Any:
    from sagemaker.core.shapes import ProcessingInput, ProcessingS3Input

    return ProcessingInput(
        input_name=name,
        s3_input=ProcessingS3Input(
            s3_uri=uri,
            local_path=f"{_FOLDER}/input/{name}",
            s3_data_type="S3Prefix",
            s3_input_mode="File",
        ),
    )
