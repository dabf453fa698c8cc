"""Where things lie in S3, and what travels in SageMaker's custom attributes."""

import re

from .manifest import MANIFEST_NAME
from .signatures import SIGNATURE_NAME

__all__ = [
    "ASYNC_FAILURE_PREFIX",
    "ASYNC_INPUT_PREFIX",
    "ASYNC_OUTPUT_PREFIX",
    "JOB_ID_PATTERN",
    "MODELS_PREFIX",
    "PUBLIC_KEYS_PREFIX",
    "RESULTS_PREFIX",
    "UPLOADS_PREFIX",
    "UPLOAD_ID_PATTERN",
    "artifact_prefix",
    "job_attributes",
    "job_id_from_attributes",
    "job_input_key",
    "live_pointer_key",
    "manifest_key",
    "pointer_history_key",
    "public_key_key",
    "result_file_key",
    "result_image_key",
    "signature_key",
    "upload_key",
]

MODELS_PREFIX = "models/"
PUBLIC_KEYS_PREFIX = "keys/"
RESULTS_PREFIX = "results/"
ASYNC_INPUT_PREFIX = "async/input/"
ASYNC_OUTPUT_PREFIX = "async/output/"
ASYNC_FAILURE_PREFIX = "async/failure/"
UPLOADS_PREFIX = "uploads/"
JOB_ID_PATTERN = r"[0-9a-f]{32}"
UPLOAD_ID_PATTERN = JOB_ID_PATTERN
_JOB_ATTRIBUTE = re.compile(rf"(?:^|;)\s*job_id=({JOB_ID_PATTERN})(?:;|$)")


def artifact_prefix(name: str, artifact_sha256: str) -> str:
    """Prefix, with the slash that SageMaker's `S3Prefix` wants, of one artifact's files."""
    return f"{MODELS_PREFIX}{name}/{artifact_sha256}/"


def manifest_key(name: str, artifact_sha256: str) -> str:
    """Key of one artifact's manifest."""
    return artifact_prefix(name, artifact_sha256) + MANIFEST_NAME


def signature_key(name: str, artifact_sha256: str) -> str:
    """Key of the signature of one artifact's manifest."""
    return artifact_prefix(name, artifact_sha256) + SIGNATURE_NAME


def public_key_key(key_id: str) -> str:
    """Key of a public key that signs manifests, as PEM."""
    return f"{PUBLIC_KEYS_PREFIX}{key_id}.pem"


def live_pointer_key(name: str) -> str:
    """Key of the pointer (`LiveModel`) to the artifact being served under a name."""
    return f"{MODELS_PREFIX}{name}/live.json"


def pointer_history_key(name: str) -> str:
    """Key of the pointers (`PointerHistory`) that were live under a name before."""
    return f"{MODELS_PREFIX}{name}/history.json"


def job_input_key(job_id: str, attempt: int) -> str:
    """Key of the request body that asynchronous inference reads for one attempt."""
    return f"{ASYNC_INPUT_PREFIX}{job_id}/{attempt}.json"


def result_image_key(job_id: str, index: int, extension: str) -> str:
    """Key of a finished picture, served by the CDN under the same path."""
    return f"{RESULTS_PREFIX}{job_id}/{index}.{extension}"


def result_file_key(job_id: str, name: str) -> str:
    """Key of a file that a task has made, served by the CDN under the same path."""
    return f"{RESULTS_PREFIX}{job_id}/{name}"


def upload_key(owner: str, upload_id: str) -> str:
    """Key of what a caller uploaded; the owner is in it, so that no id opens another's file."""
    return f"{UPLOADS_PREFIX}{owner}/{upload_id}"


def job_attributes(job_id: str) -> str:
    """`X-Amzn-SageMaker-Custom-Attributes` that tell the container which job it works on."""
    return f"job_id={job_id}"


def job_id_from_attributes(attributes: str) -> str | None:
    """The job id in a custom-attributes header, or None where there is none."""
    match = _JOB_ATTRIBUTE.search(attributes)
    return match.group(1) if match else None
