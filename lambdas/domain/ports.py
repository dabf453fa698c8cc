"""What the domain needs from the world. `lambdas.adapters` implements it; tests fake it."""

from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, Protocol

from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.models import LiveModel

from .measuring import JobLatency
from .records import (
    IdempotencyRecord,
    JobPosition,
    JobRecord,
    ServiceStop,
    StoredUpload,
    Transition,
    UploadForm,
)

__all__ = [
    "Announcements",
    "Archive",
    "Capacity",
    "Clock",
    "FileStore",
    "IdFactory",
    "InferenceEndpoint",
    "InferenceQueue",
    "JobMeter",
    "JobStore",
    "KeyPairs",
    "ManifestSigner",
    "MessageQueue",
    "ModelCatalogue",
    "ObjectStore",
    "SecretStore",
    "StopFlag",
    "StreamSlots",
    "TokenVerifier",
    "UploadStore",
    "UrlSigner",
    "WebhookSender",
]


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """The UTC time, with its zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class IdFactory(Protocol):
    """Randomness."""

    def job_id(self) -> str:
        """A new job id: 32 hexadecimal digits."""
        ...

    def upload_id(self) -> str:
        """A new upload id: 32 hexadecimal digits."""
        ...

    def seed(self) -> int:
        """A seed from 0 to 2^32 - 1."""
        ...


class JobStore(Protocol):
    """The job table. Reads of single items are consistent."""

    def create(self, job: JobRecord, idempotency: IdempotencyRecord | None) -> None:
        """Store a new job, together with its idempotency record or not at all.

        Raises:
            IdempotencyKeyTakenError: The key's record exists and has not expired.
        """
        ...

    def get(self, job_id: str) -> JobRecord | None:
        """A job, or None."""
        ...

    def get_idempotency(self, owner: str, key: str) -> IdempotencyRecord | None:
        """What the key stands for, or None; an expired record may still be returned."""
        ...

    def apply(self, transition: Transition) -> JobRecord:
        """Change a job's state under the transition's conditions.

        Returns:
            The job after the change.

        Raises:
            TransitionRefusedError: A condition does not hold, or there is no such job.
        """
        ...

    def mark_dispatched(self, job_id: str, attempt: int) -> None:
        """Note that `attempt` was handed to inference; a higher number there already stays."""
        ...

    def list_by_owner(
        self, owner: str, *, limit: int, after: JobPosition | None, state: JobState | None
    ) -> tuple[list[JobRecord], JobPosition | None]:
        """At most `limit` of the owner's jobs, newest first, and where the next page starts."""
        ...

    def list_unfinished(self, *, unchanged_since: datetime, due: datetime) -> Iterator[JobRecord]:
        """Jobs not ended, last changed at `unchanged_since` or before, with a deadline <= due."""
        ...


class ObjectStore(Protocol):
    """The results bucket."""

    def put(
        self, key: str, body: bytes, content_type: str, *, download_as: str | None = None
    ) -> None:
        """Write an object; with `download_as`, one that browsers keep and never show."""
        ...

    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            ObjectNotFoundError: There is none.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def uri(self, key: str) -> str:
        """The object's `s3://` URI."""
        ...

    def key_of(self, uri: str) -> str:
        """The key in an `s3://` URI of this bucket.

        Raises:
            ObjectNotFoundError: The URI points elsewhere.
        """
        ...


class UploadStore(Protocol):
    """Files that callers put into the results bucket themselves."""

    def form(self, key: str, *, content_type: str, size_bytes: int, seconds: int) -> UploadForm:
        """A form that S3 accepts for `seconds`, for this key, type and size only."""
        ...

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write a file that came inside a request."""
        ...

    def find(self, key: str) -> StoredUpload | None:
        """What lies there, or None."""
        ...


class InferenceQueue(Protocol):
    """A lane that takes work now and says later how it went."""

    def submit(self, job_id: str, input_uri: str) -> None:
        """Ask for the inference of the request that lies at `input_uri`."""
        ...


class InferenceEndpoint(Protocol):
    """An endpoint that answers while one waits."""

    def call(self, job_id: str, body: bytes) -> tuple[int, bytes]:
        """Send a request; the container's HTTP status and its answer."""
        ...


class Announcements(Protocol):
    """Where it is said how attempts went."""

    def publish(self, message: dict[str, Any], *, failed: bool) -> None:
        """Tell how an attempt went."""
        ...


class UrlSigner(Protocol):
    """The CDN."""

    def sign(self, key: str, now: datetime) -> tuple[str, datetime]:
        """A link to an object of the results bucket, and when it stops working."""
        ...


class ModelCatalogue(Protocol):
    """The models being served."""

    def find(self, name: str) -> LiveModel | None:
        """The model of that name, or None."""
        ...

    def all(self) -> tuple[LiveModel, ...]:
        """All models, by name."""
        ...


class Archive(Protocol):
    """A zip being read member by member."""

    def names(self) -> tuple[str, ...]:
        """Names of the files in it, directories left out."""
        ...

    def size(self, name: str) -> int:
        """Bytes of one file, uncompressed."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """A stream of one file's bytes."""
        ...


class FileStore(Protocol):
    """One bucket that files are published to."""

    def upload(self, key: str, stream: IO[bytes], content_type: str, cache_control: str) -> None:
        """Write an object from a stream, with bounded memory."""
        ...

    def read(self, key: str) -> bytes | None:
        """A small object's bytes, or None where there is none."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def delete_below(self, prefix: str, *, keep: frozenset[str], purge_versions: bool) -> None:
        """Remove all objects below a prefix but `keep`; a bucket that is gone is no error."""
        ...


class SecretStore(Protocol):
    """Secrets Manager."""

    def read(self, secret_id: str) -> str | None:
        """The current value, or None where it was never set."""
        ...

    def write(self, secret_id: str, value: str) -> None:
        """Make `value` the current one."""
        ...


class KeyPairs(Protocol):
    """RSA key pairs in PEM."""

    def generate(self) -> str:
        """A new private key."""
        ...

    def public_key(self, private_pem: str) -> str | None:
        """The public key that belongs to a private one, or None if the text is not such a key."""
        ...


class ManifestSigner(Protocol):
    """A private key that never leaves its key management service."""

    def public_key(self) -> bytes:
        """The public key as DER SubjectPublicKeyInfo."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The DER signature, ECDSA on P-256 with SHA-256, of at most 4096 bytes."""
        ...


class MessageQueue(Protocol):
    """A queue whose messages come again until they are handled."""

    def send(self, body: str) -> None:
        """Add a message."""
        ...

    def postpone(self, receipt: str, seconds: int) -> None:
        """Let a message that was received come again no earlier than in `seconds`."""
        ...


class WebhookSender(Protocol):
    """Calls to addresses that callers name."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Send JSON; follows no redirect and reads no answer.

        Returns:
            The answer's status code.

        Raises:
            DeliveryFailedError: There was none, or the address must not be called.
        """
        ...


class TokenVerifier(Protocol):
    """The user pool, as far as it vouches for people."""

    def subject(self, token: str) -> str:
        """Whom an access token was issued to: an id that never changes.

        Raises:
            InvalidTokenError: It is not one of ours, or not of use any more.
            TokenKeysUnavailableError: It can't be checked at the moment.
        """
        ...


class StopFlag(Protocol):
    """Whether the service is stopped, for all functions at once."""

    def read(self) -> ServiceStop | None:
        """The stop in force, or None."""
        ...

    def set(self, stop: ServiceStop) -> ServiceStop:
        """Set the flag unless it is set; the stop in force afterwards."""
        ...

    def clear(self) -> None:
        """Remove the flag; one that is not set is no error."""
        ...


class StreamSlots(Protocol):
    """Numbered slots of each caller's open event streams. Times are Unix milliseconds."""

    def taken(self, owner: str) -> dict[int, int]:
        """When the lease of each slot ends, or ended."""
        ...

    def take(self, owner: str, slot: int, *, now_ms: int, until_ms: int) -> bool:
        """Take a slot if it is free; whether it was."""
        ...

    def free(self, owner: str, slot: int, until_ms: int) -> None:
        """Give a slot back, unless another stream has it by now."""
        ...


class Capacity(Protocol):
    """The machines behind the endpoints."""

    def withdraw(self) -> None:
        """Let no machine run where none has to."""
        ...

    def restore(self) -> None:
        """Let as many run as the stage was deployed with."""
        ...


class JobMeter(Protocol):
    """Whoever wants to know how jobs went."""

    def succeeded(self, job: JobRecord, latency: JobLatency) -> None:
        """Note a job that has just succeeded."""
        ...
