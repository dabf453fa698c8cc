"""What can go wrong while operating a stage.

OperationsError
|-- IncompleteReleaseError   a release in the registry lacks something, or was altered
|-- NoEarlierReleaseError    there is nothing to roll back to
|-- PointerChangedError      somebody else promoted or rolled back at the same time
|-- StageNotFoundError       no such stage is deployed here
|-- StageStoppedError        nothing may begin: the service of the stage is stopped
|-- TrainingError            a training job can't be asked for, or did not end well
|-- UnknownPriceError        a cost can't be estimated from what is known
|-- UnknownQueueError        the stage has no dead-letter queue of that name
|-- UnknownReleaseError      the registry holds no such release, or several that could be meant
|-- UnpublishableError       a directory is no artifact that may be published
|-- RedriveError             messages could not be moved; they are where they were
'-- WrongShareError          the lanes' shares of the pictures don't fit together, or the stage
"""

__all__ = [
    "IncompleteReleaseError",
    "NoEarlierReleaseError",
    "OperationsError",
    "PointerChangedError",
    "RedriveError",
    "StageNotFoundError",
    "StageStoppedError",
    "TrainingError",
    "UnknownPriceError",
    "UnknownQueueError",
    "UnknownReleaseError",
    "UnpublishableError",
    "WrongShareError",
]


class OperationsError(Exception):
    """Base of everything that the commands raise on purpose."""


class StageNotFoundError(OperationsError):
    """No stack of the stage, or not the outputs of one, are here."""


class StageStoppedError(OperationsError):
    """Nothing may begin: the service of the stage is stopped."""


class TrainingError(OperationsError):
    """A training job can't be asked for as it was described, or it did not end well."""


class UnknownPriceError(OperationsError):
    """A cost can't be estimated: a price is not known, or the load is more than the stage bears."""


class UnknownQueueError(OperationsError):
    """The stage has no dead-letter queue of that name."""


class RedriveError(OperationsError):
    """Messages could not be moved; they are where they were."""


class UnpublishableError(OperationsError):
    """A directory is no complete artifact, or one that may not be published."""


class UnknownReleaseError(OperationsError):
    """The registry holds no release of that name and checksum, or several that could be meant."""


class IncompleteReleaseError(OperationsError):
    """A release's manifest, a file or its signature is missing in the registry, or was altered."""


class NoEarlierReleaseError(OperationsError):
    """No other release was live under this name before."""


class WrongShareError(OperationsError):
    """Shares of the lanes are no shares, more than everything, or of lanes that are not there."""


class PointerChangedError(OperationsError):
    """What is live under a name changed between reading it and writing it."""
