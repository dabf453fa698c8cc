"""What can go wrong while operating a stage.

OperationsError
|-- StageNotFoundError       no such stage is deployed here
|-- UnknownPriceError        a cost can't be estimated from what is known
|-- UnknownQueueError        the stage has no dead-letter queue of that name
'-- RedriveError             messages could not be moved; they are where they were
"""

__all__ = [
    "OperationsError",
    "RedriveError",
    "StageNotFoundError",
    "UnknownPriceError",
    "UnknownQueueError",
]


class OperationsError(Exception):
    """Base of everything that the commands raise on purpose."""


class StageNotFoundError(OperationsError):
    """No stack of the stage, or not the outputs of one, are here."""


class UnknownPriceError(OperationsError):
    """A cost can't be estimated: a price is not known, or the load is more than the stage bears."""


class UnknownQueueError(OperationsError):
    """The stage has no dead-letter queue of that name."""


class RedriveError(OperationsError):
    """Messages could not be moved; they are where they were."""
