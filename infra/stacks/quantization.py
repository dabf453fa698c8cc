"""Jobs on models: a dropped one becomes a staged release, and training scripts run."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.dead_letters import DeadLetterSource, publish_dead_letters
from infra.constructs.grants import list_objects, read_objects, write_objects
from infra.constructs.inference_image import InferenceImage
from infra.constructs.job_role import JobRole
from infra.constructs.python_function import FunctionParts
from infra.constructs.quantization_functions import QuantizationFunctions
from infra.constructs.quantization_machine import QuantizationMachine
from infra.lambda_bundle import LambdaBundle
from infra.stages import StageConfig
from nvfp4_ddim_contracts.incoming import (
    DRAFTS_PREFIX,
    INCOMING_PREFIX,
    TRAINING_JOBS_PREFIX,
    TRAINING_PREFIX,
)

from .storage import StorageStack

__all__ = ["QuantizationStack"]


class QuantizationStack(cdk.Stack):
    """The work between the bucket of dropped models and the registry.

    Attributes:
        machine: The state machine.
        dead_letters: Every dead-letter queue, by what it holds.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        storage: StorageStack,
        bundle: LambdaBundle,
        image_uri: str | None = None,
        env: cdk.Environment | None = None,
    ) -> None:
        """Define the stack."""
        super().__init__(
            scope, construct_id, env=env, description="nvfp4-ddim: quantisation and training"
        )
        # By its ARN alone: no statement may flow back into the storage stack.
        key = kms.Key.from_key_arn(self, "Key", storage.key.key_arn)
        image = InferenceImage(self, "Image", target=config.capacity.image_target, uri=image_uri)
        role = JobRole(self, "JobRole", kind="Processing", image=image)
        for prefix in (INCOMING_PREFIX, DRAFTS_PREFIX):
            read_objects(role, storage.incoming, f"{prefix}*")
            list_objects(role, storage.incoming, prefix)
        write_objects(role, storage.incoming, f"{DRAFTS_PREFIX}*")
        training = JobRole(self, "TrainingRole", kind="Training", image=image)
        read_objects(training, storage.incoming, f"{TRAINING_PREFIX}*")
        list_objects(training, storage.incoming, TRAINING_PREFIX)
        write_objects(training, storage.incoming, f"{TRAINING_JOBS_PREFIX}*")
        functions = QuantizationFunctions(
            self,
            "Functions",
            parts=FunctionParts(
                config=config,
                bundle=bundle,
                values={
                    "ARTIFACT_BUCKET": storage.artifacts.bucket_name,
                    "INCOMING_BUCKET": storage.incoming.bucket_name,
                    "MANIFEST_KEY_ARN": storage.manifest_key.key_arn,
                    "MAX_MODEL_BYTES": str(config.quantization.max_model_bytes),
                    "QUANTIZER": image.uri,
                    "TABLE_NAME": storage.table.table_name,
                },
            ),
            table=storage.table,
            incoming=storage.incoming,
            artifacts=storage.artifacts,
            manifest_key=storage.manifest_key,
        )
        quantization = QuantizationMachine(
            self,
            "Quantization",
            config=config,
            functions=functions,
            bucket=storage.incoming,
            image=image,
            job_role=role,
            key=key,
        )
        self.machine = quantization.machine
        self.dead_letters = {
            "quantization_starts": DeadLetterSource.of_executions(
                quantization.missed, quantization.machine
            )
        }
        publish_dead_letters(self, self.dead_letters)
        for name, value, description in (
            ("IncomingBucketName", storage.incoming.bucket_name, "Drop incoming/NAME/ here"),
            ("QuantizationMachineArn", self.machine.state_machine_arn, "Runs quantisations"),
            ("JobImageUri", image.uri, "What jobs run"),
            ("JobKeyArn", key.key_arn, "Encrypts what jobs write"),
            ("ProcessingRoleArn", role.role_arn, "What quantising jobs run as"),
            ("TrainingRoleArn", training.role_arn, "What training jobs run as"),
        ):
            cdk.CfnOutput(self, name, value=value, description=description)
