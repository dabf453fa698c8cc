"""Errors of delivery to devices.

EdgeError
├── CdnError                  the CDN can't be reached, or answers what it should not
│   └── RangesIgnoredError    it sends whole files where parts were asked for
├── NotPublishedError         the CDN has no such artifact
├── UntrustedError            the signature is missing or wrong, or its key is not trusted
├── TamperedError             what was received is not what the manifest or the pointer names
├── DiskFullError             the files do not fit
├── DestinationError          the destination is no artifact, or another process works on it
├── SelfTestError             a release does not paint what it should
├── JobServiceError           AWS IoT can't be reached, or refuses
└── JobGoneError              a job has ended, was cancelled or timed out
"""

from nvfp4_ddim_optimizer.errors import (
    ArtifactCorruptError,
    ArtifactError,
    ArtifactNotFoundError,
    InvalidInputError,
    NVFP4Error,
)

__all__ = [
    "CdnError",
    "DestinationError",
    "DiskFullError",
    "EdgeError",
    "JobGoneError",
    "JobServiceError",
    "NotPublishedError",
    "RangesIgnoredError",
    "SelfTestError",
    "TamperedError",
    "UntrustedError",
]


class EdgeError(NVFP4Error):
    """Base of all errors that this package raises on purpose."""


class CdnError(EdgeError):
    """The CDN can't be reached, or answers what it should not."""


class RangesIgnoredError(CdnError):
    """The CDN, or a proxy before it, sends whole files where parts were asked for."""


class NotPublishedError(EdgeError, ArtifactNotFoundError):
    """The CDN has no such artifact."""


class UntrustedError(EdgeError, ArtifactError):
    """The manifest's signature is missing or wrong, or its key is not trusted."""


class TamperedError(EdgeError, ArtifactCorruptError):
    """What was received is not what the manifest or the pointer names."""


class DiskFullError(EdgeError):
    """The files do not fit on the disk."""


class DestinationError(EdgeError, InvalidInputError):
    """The destination is no artifact, or another process works on it."""


class SelfTestError(EdgeError):
    """A release does not paint the picture that it should."""


class JobServiceError(EdgeError):
    """AWS IoT can't be reached, or refuses what it was asked."""


class JobGoneError(EdgeError):
    """A job has ended, was cancelled or timed out: nobody waits for it any more."""
