"""A deployed stage, as the outputs of its stacks describe it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from nvfp4_ddim_contracts.operations import DEAD_LETTERS_OUTPUT, DeadLetters, ScalableTarget

from .errors import StageNotFoundError

__all__ = ["Clients", "JobPlace", "Stage", "find_stage"]

Clients = Callable[[str], Any]
"""Makes a boto3 client of a service, such as "sqs"."""

_TARGETS = TypeAdapter(tuple[ScalableTarget, ...])


@dataclass(frozen=True)
class JobPlace:
    """What jobs on models run with.

    Attributes:
        image_uri: Their image.
        key_arn: Encrypts what they write.
        processing_role_arn: What jobs that quantise run as.
        training_role_arn: What jobs that train run as.
    """

    image_uri: str
    key_arn: str
    processing_role_arn: str
    training_role_arn: str


@dataclass(frozen=True)
class Stage:
    """The outputs of all stacks of a stage, by name."""

    name: str
    outputs: dict[str, str]

    @property
    def job_table(self) -> str:
        """Name of the job table."""
        return self._output("JobTableName")

    @property
    def artifact_bucket(self) -> str:
        """Name of the bucket that is the model registry."""
        return self._output("ArtifactBucketName")

    @property
    def manifest_key(self) -> str:
        """ARN of the key that signs manifests."""
        return self._output("ManifestKeyArn")

    @property
    def incoming_bucket(self) -> str:
        """Name of the bucket of dropped models and of training jobs."""
        return self._output("IncomingBucketName")

    @property
    def jobs(self) -> JobPlace:
        """What jobs on models run with."""
        return JobPlace(
            image_uri=self._output("JobImageUri"),
            key_arn=self._output("JobKeyArn"),
            processing_role_arn=self._output("ProcessingRoleArn"),
            training_role_arn=self._output("TrainingRoleArn"),
        )

    @property
    def scalable_targets(self) -> tuple[ScalableTarget, ...]:
        """The machines that a stop takes away."""
        return _TARGETS.validate_json(self._output("ScalableTargets"))

    @property
    def dead_letters(self) -> dict[str, DeadLetters]:
        """Every dead-letter queue, by the name that operators give it."""
        found = (
            DeadLetters.model_validate_json(value)
            for name, value in self.outputs.items()
            if name.startswith(DEAD_LETTERS_OUTPUT)
        )
        return {each.name: each for each in sorted(found, key=lambda each: each.name)}

    def _output(self, name: str) -> str:
        if name not in self.outputs:
            raise StageNotFoundError(
                f"The stacks of the stage '{self.name}' have no output {name}. Deploy them with "
                "this version of the app first."
            )
        return self.outputs[name]


def find_stage(clients: Clients, name: str) -> Stage:
    """Read the outputs of every stack of a stage.

    Raises:
        StageNotFoundError: The account has no such stack in this region.
    """
    prefix = f"Nvfp4Ddim-{name}-"
    pages = clients("cloudformation").get_paginator("describe_stacks").paginate()
    stacks = [
        stack for page in pages for stack in page["Stacks"] if stack["StackName"].startswith(prefix)
    ]
    if not stacks:
        raise StageNotFoundError(
            f"No stack is called {prefix}... here. Check --stage, --region and the account; the "
            "local cloud's stage is called 'local'."
        )
    outputs = [output for stack in stacks for output in stack.get("Outputs", [])]
    return Stage(name, {each["OutputKey"]: each["OutputValue"] for each in outputs})
