"""What can go wrong while operating a stage.

OperationsError
|-- StageNotFoundError       no such stage is deployed here
|-- UnknownQueueError        the stage has no dead-letter queue of that name
'-- RedriveError             messages could not be moved; they are where they were
"""

__all__ = ["OperationsError", "RedriveError", "StageNotFoundError", "UnknownQueueError"]


class OperationsError(Exception):
    """Base of everything that the commands raise on purpose."""


class StageNotFoundError(OperationsError):
    """No stack of the stage, or not the outputs of one, are here."""


class UnknownQueueError(OperationsError):
    """The stage has no dead-letter queue of that name."""


class RedriveError(OperationsError):
    """Messages could not be moved; they are where they were."""
