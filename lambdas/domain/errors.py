"""Errors of the service. They know no HTTP; `lambdas.handlers._problems` maps them to it.

ServiceError
├── InvalidRequestError          fields of the request are missing or out of range
│   ├── UnknownModelError        no artifact is being served under that name
│   ├── LaneUnavailableError     the stage lacks the lane, or it can't take the job
│   └── InvalidCursorError       not a cursor that this service gave out
├── InvalidBatchError            a batch's manifest can't be read as a whole
├── UnsupportedMediaTypeError    the body is not JSON
├── RequestTooLargeError         the body has more bytes than any request needs
├── UnauthorizedError            the caller is not known
├── UploadNotFoundError          no such upload, or another caller's
├── InvalidTokenError            an access token that this service must not trust
├── TokenKeysUnavailableError    the keys that sign access tokens can't be had at the moment
├── JobNotFoundError             no such job, or another caller's
├── JobEndedError                the job ended in another way than the caller asks for
├── IdempotencyMismatchError     the key was used before, with another request
├── JobPendingError              the job did not end while the caller waited
├── TooManyStreamsError          the caller has as many event streams open as one may
├── ServiceStoppedError          no new jobs are accepted until an operator resumes
├── GenerationFailedError        the job ended without a picture
├── AnswerTooLargeError          the pictures don't fit into one answer
├── IdempotencyKeyTakenError     (store) the key's item exists
├── TransitionRefusedError       (store) the job is no longer in a state that allows the change
├── ObjectNotFoundError          (store) no such object
├── NotificationError            a message of another service, or of ours, can't be understood
├── DeliveryFailedError          a webhook's receiver could not be told
├── RefusedModelError            a dropped model, or what was made of it, must not be published
├── UnfinishedError              the function's time is up; called again, it goes on
└── ResourceError                a custom resource's properties are wrong
"""

from nvfp4_ddim_contracts import FieldError, JobState, Problem
from nvfp4_ddim_contracts.incoming import QuantizationProblem, QuantizationProblemCode

__all__ = [
    "AnswerTooLargeError",
    "DeliveryFailedError",
    "GenerationFailedError",
    "IdempotencyKeyTakenError",
    "IdempotencyMismatchError",
    "InvalidBatchError",
    "InvalidCursorError",
    "InvalidRequestError",
    "InvalidTokenError",
    "JobEndedError",
    "JobNotFoundError",
    "JobPendingError",
    "LaneUnavailableError",
    "NotificationError",
    "ObjectNotFoundError",
    "RefusedModelError",
    "RequestTooLargeError",
    "ResourceError",
    "ServiceError",
    "ServiceStoppedError",
    "TokenKeysUnavailableError",
    "TooManyStreamsError",
    "TransitionRefusedError",
    "UnauthorizedError",
    "UnfinishedError",
    "UnknownModelError",
    "UnsupportedMediaTypeError",
    "UploadNotFoundError",
]


class ServiceError(Exception):
    """Base of all errors raised on purpose; `str(error)` is fit for the caller's eyes."""


class InvalidRequestError(ServiceError):
    """Fields of the request are missing or out of range."""

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class UnknownModelError(InvalidRequestError):
    """No artifact is being served under that name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        names = ", ".join(known) or "none yet"
        message = f"There is no model '{name}'. Models being served: {names}."
        super().__init__(message, (FieldError(field="model", message=message),))


class LaneUnavailableError(InvalidRequestError):
    """The stage does not have the lane asked for, or that one can't take the job."""

    def __init__(self, message: str) -> None:
        super().__init__(message, (FieldError(field="lane", message=message),))


class InvalidCursorError(InvalidRequestError):
    """The cursor is not one that this service gave out."""

    def __init__(self) -> None:
        message = "Not a cursor of this service. Pass `next_cursor` of the page before, unchanged."
        super().__init__(message, (FieldError(field="cursor", message=message),))


class InvalidBatchError(ServiceError):
    """A batch's manifest can't be read as a whole."""


class UnsupportedMediaTypeError(ServiceError):
    """The body is not JSON."""

    def __init__(self, media_type: str) -> None:
        super().__init__(f"Send the body as application/json, not as {media_type}.")


class RequestTooLargeError(ServiceError):
    """The body has more bytes than any request needs."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"The body has {size:,} bytes; {limit:,} are allowed. Bring larger files by "
            "POST /v1/uploads and name them by their ids."
        )


class UnauthorizedError(ServiceError):
    """The caller is not known."""

    def __init__(self) -> None:
        super().__init__(
            "Send your API key as x-api-key, or the key or your sign-in's access token as "
            "Authorization: Bearer <it>."
        )


class InvalidTokenError(ServiceError):
    """An access token that this service must not trust."""


class TokenKeysUnavailableError(ServiceError):
    """The keys that sign access tokens can't be had at the moment."""


class JobNotFoundError(ServiceError):
    """There is no such job, or it is another caller's, which looks the same from outside."""

    def __init__(self, job_id: str) -> None:
        super().__init__("You have no job with this id. Jobs are deleted some days after they end.")
        self.job_id = job_id


class UploadNotFoundError(ServiceError):
    """There is no such upload, or it is another caller's, which looks the same from outside."""

    def __init__(self) -> None:
        super().__init__(
            "You have no upload with this id. Ask for one by POST /v1/uploads and send the file "
            "before you name it; uploads are deleted after a day."
        )


class JobEndedError(ServiceError):
    """The job ended in another way than the caller asks for."""

    def __init__(self, job_id: str, state: JobState) -> None:
        super().__init__(f"The job has already {_past(state)} and can't be cancelled.")
        self.job_id = job_id
        self.state = state


class IdempotencyMismatchError(ServiceError):
    """The key was used before, with another request."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was sent before with another request. Use a new key for a new "
            "request, and the same body when you repeat one."
        )


class JobPendingError(ServiceError):
    """The job did not end while the caller waited; it goes on."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"The picture is not ready yet. Nothing is lost: follow job {job_id}, or repeat the "
            "request with the same Idempotency-Key."
        )
        self.job_id = job_id


class TooManyStreamsError(ServiceError):
    """The caller has as many event streams open as one may."""

    def __init__(self, most: int, retry_after_seconds: int) -> None:
        super().__init__(
            f"You have {most} event streams open, and no more at a time are allowed. Close one, "
            f"try again within {retry_after_seconds} s, or ask for the job with GET /v1/jobs/ID."
        )
        self.retry_after_seconds = retry_after_seconds


class ServiceStoppedError(ServiceError):
    """The service is stopped: no new jobs until an operator resumes it."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"No new jobs are accepted at present: {reason} Jobs and pictures that exist can "
            "still be read. Try again later, or ask the operator."
        )


class GenerationFailedError(ServiceError):
    """The job ended without a picture."""

    def __init__(self, job_id: str, state: JobState, problem: Problem | None) -> None:
        super().__init__(problem.detail if problem else f"The job has {_past(state)}.")
        self.job_id = job_id
        self.state = state
        self.problem = problem


class AnswerTooLargeError(ServiceError):
    """The pictures don't fit into one answer."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"The pictures of job {job_id} are finished but too large to be sent inside JSON. "
            "Ask for links to them instead."
        )
        self.job_id = job_id


class IdempotencyKeyTakenError(ServiceError):
    """The idempotency key's item exists already."""


class TransitionRefusedError(ServiceError):
    """The job is gone, or no longer in a state (or attempt) that allows the change."""

    def __init__(self, job_id: str, target: JobState) -> None:
        super().__init__(f"Job {job_id} can't become {target} any more.")
        self.job_id = job_id


class ObjectNotFoundError(ServiceError):
    """There is no such object."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no object '{key}'.")
        self.key = key


class NotificationError(ServiceError):
    """A message of another service, or of ours, can't be understood."""


class DeliveryFailedError(ServiceError):
    """A webhook's receiver could not be told."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(f"The webhook of job {job_id} was not delivered: {reason}.")
        self.job_id = job_id


class RefusedModelError(ServiceError):
    """A dropped model, or what was made of it, must not be published."""

    def __init__(self, code: QuantizationProblemCode, detail: str) -> None:
        super().__init__(detail)
        # The report's field has this limit.
        self.problem = QuantizationProblem(code=code, detail=detail[:2_000])


class UnfinishedError(ServiceError):
    """The function's time is up; called again, it goes on where it stopped."""


class ResourceError(ServiceError):
    """A custom resource's properties are wrong, or its work can't be done."""


def _past(state: JobState) -> str:
    return "been cancelled" if state is JobState.CANCELLED else str(state)
