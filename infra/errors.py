"""Errors of synthesis.

InfraError
├── UnknownStageError        no such stage
├── ModelArtifactError       the model to deploy is missing or incomplete
├── LambdaBundleError        pip could not bring what the Lambdas need
├── LaneOptionError          a lane is given a size that AWS does not have
├── CapacityError            a machine is too small for the work it is given
├── ImageUriError            the image to use instead of a built one is not in ECR
└── MissingSettingError      a function's settings ask for a value that the stack has not
"""

__all__ = [
    "CapacityError",
    "ImageUriError",
    "InfraError",
    "LambdaBundleError",
    "LaneOptionError",
    "MissingSettingError",
    "ModelArtifactError",
    "UnknownStageError",
]


class InfraError(Exception):
    """Base of all errors of `infra`."""


class UnknownStageError(InfraError):
    """No stage has this name."""


class ModelArtifactError(InfraError):
    """The directory of the model to deploy is no complete artifact."""


class CapacityError(InfraError):
    """A machine is too small for the work that it is given."""


class ImageUriError(InfraError):
    """The image given by context can't be pulled by SageMaker."""


class LaneOptionError(InfraError):
    """A lane's size is not one that AWS offers."""


class LambdaBundleError(InfraError):
    """The code bundle of the Lambdas could not be made."""


class MissingSettingError(InfraError):
    """A function's settings model names a variable that the stack gives no value for."""
