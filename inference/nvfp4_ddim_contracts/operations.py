"""What a deployed stage tells its operators' tools about itself, as JSON in stack outputs.

`infra` writes these documents, and `operations` and the function `stop_spending` read them.
"""

from enum import StrEnum

from pydantic import Field

from ._base import Contract

__all__ = [
    "DEAD_LETTERS_OUTPUT",
    "DeadLetterKind",
    "DeadLetters",
    "ScalableTarget",
    "metrics_namespace",
]

DEAD_LETTERS_OUTPUT = "DeadLetters"
"""Every output whose name starts so is a `DeadLetters` document."""


class DeadLetterKind(StrEnum):
    """Whose messages a dead-letter queue holds, and so how they go back."""

    QUEUE = "queue"
    """Another queue's: SQS itself moves them back."""
    TOPIC = "topic"
    """What a topic could not deliver to `target`, a queue: they are sent there."""
    STREAM = "stream"
    """Records that say which changes of the job table the function `target` failed on."""
    EVENT = "event"
    """Events that the function `target` failed on, or never got: it is invoked with them."""
    EXECUTION = "execution"
    """Events that did not start the state machine `target`: it is started with them."""


class DeadLetters(Contract):
    """One dead-letter queue and the way back from it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="What operators call it.")
    kind: DeadLetterKind
    url: str = Field(min_length=1, description="The dead-letter queue.")
    target: str = Field(min_length=1, description="A queue's URL or a function's name.")


class ScalableTarget(Contract):
    """Machines behind one variant of an endpoint, as Application Auto Scaling knows them."""

    resource_id: str = Field(pattern=r"^endpoint/[^/]+/variant/[^/]+$")
    min_capacity: int = Field(0, ge=0, description="Instances at least while the service runs.")
    max_capacity: int = Field(ge=1, description="Instances at most while the service runs.")
    stopped_capacity: int = Field(
        0, ge=0, le=1, description="Instances of a stopped service: one where SageMaker wants one."
    )


def metrics_namespace(stage: str) -> str:
    """CloudWatch's namespace of a stage's own metrics: stages may share an account."""
    return f"Nvfp4Ddim/{stage}"
