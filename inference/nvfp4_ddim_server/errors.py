"""Errors of the inference server. They know no HTTP: `problems.py` gives each its status.

ServerError
├── SettingsError               an environment variable has a value that can't be used
├── StartError                  the server can't serve what it was told to
├── RequestError                the request is at fault
│   ├── MalformedBodyError      the body is not JSON
│   ├── InvalidFieldsError      fields are missing, unknown, out of range or over a limit
│   ├── BodyTooLargeError       the body has more bytes than any legal request
│   ├── InputTooLargeError      a file has more bytes than the task takes
│   ├── MediaTypeError          the body is declared to be something other than JSON
│   ├── NotAcceptableError      none of the encodings the caller accepts can be had
│   ├── UnknownModelError       no model of that name is being served
│   ├── UnusableModelError      what the registry holds under that name is damaged
│   ├── ModelTooLargeError      the model does not fit into this server
│   └── PrecisionUnavailableError   this machine lacks the arithmetic that is insisted on
├── UnavailableError            the server can't take the request now; another time it will
│   ├── NotReadyError           still loading, shutting down, or broken
│   ├── QueueFullError          as many requests wait as may wait
│   ├── DiskFullError           the models in use leave no room for another
│   ├── RegistryError           the model registry can't be read
│   └── InputsUnavailableError  callers' files can't be read
├── StoppedError                the request was begun and deliberately not finished
│   ├── JobCancelledError       its job was cancelled or has ended otherwise
│   ├── ClientGoneError         the caller closed the connection
│   └── RequestTimedOutError    it took longer than a request may
└── GenerationFailedError       the pipeline raised an error nobody foresaw
    └── DeviceLostError         the accelerator is in a state that only a new process mends
"""

from collections.abc import Sequence

from nvfp4_ddim_contracts import FieldError

__all__ = [
    "BodyTooLargeError",
    "ClientGoneError",
    "DeviceLostError",
    "DiskFullError",
    "GenerationFailedError",
    "InputTooLargeError",
    "InputsUnavailableError",
    "InvalidFieldsError",
    "JobCancelledError",
    "MalformedBodyError",
    "MediaTypeError",
    "ModelTooLargeError",
    "NotAcceptableError",
    "NotReadyError",
    "PrecisionUnavailableError",
    "QueueFullError",
    "RegistryError",
    "RequestError",
    "RequestTimedOutError",
    "ServerError",
    "SettingsError",
    "StartError",
    "StoppedError",
    "UnavailableError",
    "UnknownModelError",
    "UnusableModelError",
]


class ServerError(Exception):
    """Base of all errors raised on purpose by this package."""


class SettingsError(ServerError, ValueError):
    """An environment variable has a value that can't be used."""


class StartError(ServerError):
    """The server can't serve what it was told to."""


class RequestError(ServerError):
    """The request is at fault; sending it again changes nothing."""


class MalformedBodyError(RequestError):
    """The body is not JSON."""


class InvalidFieldsError(RequestError):
    """Fields are missing, unknown, out of range or over this server's limits."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in self.errors))


class BodyTooLargeError(RequestError):
    """The body has more bytes than any legal request."""


class InputTooLargeError(RequestError):
    """A file has more bytes than the task takes."""


class MediaTypeError(RequestError):
    """The body is declared to be something other than JSON."""


class NotAcceptableError(RequestError):
    """None of the encodings that the caller accepts can be had."""


class UnknownModelError(RequestError):
    """No model of that name is being served here."""


class UnusableModelError(RequestError):
    """What the registry holds under the model's name is damaged; fetching it again changes nothing.

    Someone has to publish the artifact again.
    """


class ModelTooLargeError(RequestError):
    """The model takes more disk or memory than this server may give to one."""


class PrecisionUnavailableError(RequestError):
    """This machine lacks the arithmetic that the request insists on."""


class UnavailableError(ServerError):
    """The server can't take the request now; another time it will."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class NotReadyError(UnavailableError):
    """The server is still loading, shutting down, or broken."""


class QueueFullError(UnavailableError):
    """As many requests wait as may wait."""


class DiskFullError(UnavailableError):
    """The models in use leave no room on the disk for another."""


class RegistryError(UnavailableError):
    """The model registry can't be read now."""


class InputsUnavailableError(UnavailableError):
    """Callers' files can't be read now."""


class StoppedError(ServerError):
    """The request was begun and deliberately not finished."""


class JobCancelledError(StoppedError):
    """The job that the request belongs to was cancelled or has ended otherwise."""


class ClientGoneError(StoppedError):
    """The caller closed the connection before the answer was ready."""


class RequestTimedOutError(StoppedError):
    """The request took longer than a request may."""


class GenerationFailedError(ServerError):
    """The pipeline raised an error that nobody foresaw."""


class DeviceLostError(GenerationFailedError):
    """The accelerator is in a state that only a new process mends."""
