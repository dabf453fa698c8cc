"""Errors of the library.

NVFP4Error
├── InvalidInputError            an argument is out of range, of the wrong kind or not finite
│   └── BitstreamError           a compressed picture is foreign, truncated or altered
├── ArtifactError                something is wrong with an artifact directory
│   ├── ArtifactNotFoundError    no manifest: not an artifact, or never finished
│   ├── ArtifactCorruptError     truncated or altered: size or checksum does not match
│   ├── ArtifactVersionError     of a format that this library does not read
│   └── ArtifactFormatError      not one of ours: another tool's layout, or nonsense
├── ModelNotSupportedError       the diffusion model has a part this library can't run
├── BudgetExceededError          the artifact came out larger than it may be
├── HardwareError                the device asked for is not there or can't do it
│   └── InsufficientMemoryError  the work would take more memory than there is
└── GenerationCancelled          the caller asked to stop between two steps
"""

__all__ = [
    "ArtifactCorruptError",
    "ArtifactError",
    "ArtifactFormatError",
    "ArtifactNotFoundError",
    "ArtifactVersionError",
    "BitstreamError",
    "BudgetExceededError",
    "GenerationCancelled",
    "HardwareError",
    "InsufficientMemoryError",
    "InvalidInputError",
    "ModelNotSupportedError",
    "NVFP4Error",
]


class NVFP4Error(Exception):
    """Base of all errors raised on purpose by this library."""


class InvalidInputError(NVFP4Error, ValueError):
    """An argument is out of range, of the wrong kind or not finite."""


class BitstreamError(InvalidInputError):
    """A compressed picture is foreign, truncated, altered, or was made with another model."""


class ArtifactError(NVFP4Error):
    """Something is wrong with an artifact directory."""


class ArtifactNotFoundError(ArtifactError, FileNotFoundError):
    """There is no manifest: the directory is not an artifact, or was never finished."""


class ArtifactCorruptError(ArtifactError):
    """A file is truncated or altered: its size or checksum is not the manifest's."""


class ArtifactVersionError(ArtifactError):
    """The artifact was of a format that this library does not read."""


class ArtifactFormatError(ArtifactError):
    """The files are not an artifact of this library."""


class ModelNotSupportedError(NVFP4Error):
    """The diffusion model has a part that this library can't run."""


class BudgetExceededError(NVFP4Error):
    """The artifact came out larger than it may be; it was not written.

    Attributes:
        artifact_bytes: What it would have taken.
    """

    def __init__(self, message: str, artifact_bytes: int) -> None:
        super().__init__(message)
        self.artifact_bytes = artifact_bytes


class HardwareError(NVFP4Error):
    """The device asked for is not there, or can't do what was asked of it."""


class InsufficientMemoryError(HardwareError, MemoryError):
    """The work would take more memory than there is; raised before it is begun.

    Attributes:
        needed_bytes: What it was predicted to take at the least.
        available_bytes: What there is.
    """

    def __init__(self, message: str, *, needed_bytes: int, available_bytes: int) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes


class GenerationCancelled(NVFP4Error):  # noqa: N818 - an event, as asyncio.CancelledError is not
    """The caller asked to stop; raised between two steps."""
