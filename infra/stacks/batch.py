"""Batches: a manifest dropped into a bucket becomes a folder of pictures."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.batch_functions import BatchFunctions
from infra.constructs.batch_machine import BatchMachine
from infra.constructs.dead_letters import DeadLetterSource, publish_dead_letters
from infra.constructs.python_function import FunctionParts
from infra.job_values import job_values
from infra.lambda_bundle import LambdaBundle
from infra.stages import StageConfig

from .storage import StorageStack

__all__ = ["BatchStack"]


class BatchStack(cdk.Stack):
    """The work between the batches' bucket and the job table.

    Attributes:
        machine: The state machine.
        ended_jobs: Queue that is told of ended jobs of batches.
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
        env: cdk.Environment | None = None,
    ) -> None:
        """Define the stack."""
        super().__init__(scope, construct_id, env=env, description="nvfp4-ddim: batches")
        # By its ARN alone: no statement may flow back into the storage stack.
        key = kms.Key.from_key_arn(self, "Key", storage.key.key_arn)
        functions = BatchFunctions(
            self,
            "Functions",
            parts=FunctionParts(config=config, bundle=bundle, values=_values(config, storage)),
            storage=storage.jobs,
            batches=storage.batches,
            key=key,
        )
        batch = BatchMachine(
            self,
            "Batch",
            config=config,
            functions=functions,
            bucket=storage.batches,
            key=key,
        )
        self.machine = batch.machine
        self.ended_jobs = functions.ended_jobs
        self.dead_letters = {
            "batch_starts": DeadLetterSource.of_executions(batch.missed, batch.machine),
            "batch_jobs": DeadLetterSource.of_queue(functions.ended_jobs),
        }
        publish_dead_letters(self, self.dead_letters)
        for name, value, description in (
            ("BatchBucketName", storage.batches.bucket_name, "Drop batches/NAME/manifest.jsonl"),
            ("BatchMachineArn", batch.machine.state_machine_arn, "Runs batches"),
        ):
            cdk.CfnOutput(self, name, value=value, description=description)


def _values(config: StageConfig, storage: StorageStack) -> dict[str, str]:
    return {
        **job_values(config, storage),
        "BATCH_BUCKET": storage.batches.bucket_name,
        "TOLERATED_FAILURE_PERCENTAGE": str(config.batches.tolerated_failure_percentage),
    }
