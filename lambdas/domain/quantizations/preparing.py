"""The first step: is this a model that may be quantised, and was it before?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from pydantic import TypeAdapter, ValidationError

from lambdas.domain.errors import ObjectNotFoundError, RefusedModelError
from lambdas.domain.stopping import ServiceGate
from lambdas.domain.validation import field_errors
from nvfp4_ddim_contracts.incoming import (
    ORDER_NAME,
    PICKLE_SUFFIXES,
    TASK_NAME,
    QuantizationOrder,
    QuantizationProblemCode,
    QuantizationTask,
    QuantizedSource,
    SourceFile,
    incoming_prefix,
    is_incoming_name,
    order_folder,
    quantization_job,
    quantized_source_key,
    source_digest,
    work_key,
)
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME, RelativePath

from .ports import DroppedFiles, DroppedObject, ReleaseStore
from .records import PreparedModel, Readiness
from .releases import is_complete

__all__ = ["MAX_FILES", "ModelPreparer"]

MAX_FILES = 200
_MAX_ORDER_BYTES = 262_144
_MODEL_INDEX = "model_index.json"
_SUFFIXES = frozenset({"", ".json", ".jpg", ".md", ".model", ".png", ".safetensors", ".txt"})
_SHOWN = 5
_JSON = "application/json"
_PATH: TypeAdapter[str] = TypeAdapter(RelativePath)


@dataclass(frozen=True)
class ModelPreparer:
    """Looks at dropped models, while the service is not stopped.

    Attributes:
        gate: Whether it is.
        dropped: Where they lie.
        releases: Where artifacts are published.
        max_bytes: Of one model's files together.
        quantizer: Names the program that quantises: another one makes another artifact.
    """

    gate: ServiceGate
    dropped: DroppedFiles
    releases: ReleaseStore
    max_bytes: int
    quantizer: str

    def prepare(self, order_key: str, execution: str) -> PreparedModel:
        """Check a model, and write down what the job is to do.

        Args:
            order_key: Where its order lies.
            execution: Names the execution; the same one writes the same task again.

        Returns:
            Whether it is ready, needs no work, or is refused with the reason.

        Raises:
            ServiceStoppedError: Nothing may begin; asked again later, it goes on.
        """
        self.gate.require_open()
        folder = order_folder(order_key)
        name = folder if folder is not None and is_incoming_name(folder) else None
        try:
            if name is None:
                raise RefusedModelError(
                    QuantizationProblemCode.BAD_NAME,
                    f"'{order_key}' names no model. Drop it as incoming/NAME/{ORDER_NAME}; NAME "
                    "has lower-case letters, digits, '.' and '-', at most 63.",
                )
            return self._prepare(name, order_key, execution)
        except RefusedModelError as error:
            return PreparedModel(
                name=name,
                execution=execution,
                readiness=Readiness.REFUSED,
                problem=error.problem,
            )

    def _prepare(self, name: str, order_key: str, execution: str) -> PreparedModel:
        order = self._order(order_key)
        prefix = incoming_prefix(name)
        # S3's console makes empty objects that stand for folders.
        found = [
            each
            for each in self.dropped.list(prefix)
            if each.key != order_key and not each.key.endswith("/")
        ]
        files = _checked(prefix, found, self.max_bytes)
        tags = [(file, self._tag(prefix + file.path)) for file in files]
        digest = source_digest(order, tags, self.quantizer)
        made = self._made_before(name, digest)
        if made is not None:
            return PreparedModel(
                name=name,
                execution=execution,
                readiness=Readiness.ALREADY_THERE,
                artifact_sha256=made.artifact_sha256,
                source_digest=digest,
            )
        task = QuantizationTask(
            name=name, created_at=_newest(found), order=order, files=tuple(files)
        )
        job = quantization_job(execution)
        task_key = work_key(job, f"task/{TASK_NAME}")
        self.dropped.put(task_key, task.model_dump_json(indent=2).encode(), _JSON)
        return PreparedModel(
            name=name,
            execution=execution,
            readiness=Readiness.READY,
            source_digest=digest,
            job=job,
            model_uri=self.dropped.uri(prefix),
            task_uri=self.dropped.uri(work_key(job, "task/")),
            output_uri=self.dropped.uri(work_key(job, "output")),
        )

    def _order(self, key: str) -> QuantizationOrder:
        invalid = QuantizationProblemCode.INVALID_ORDER
        try:
            if (size := self.dropped.size(key)) > _MAX_ORDER_BYTES:
                raise RefusedModelError(
                    invalid, f"{ORDER_NAME} has {size} bytes; {_MAX_ORDER_BYTES} are the most."
                )
            return QuantizationOrder.model_validate_json(self.dropped.get(key))
        except ObjectNotFoundError:
            raise RefusedModelError(invalid, f"{ORDER_NAME} is there no more.") from None
        except ValidationError as error:
            wrong = "; ".join(f"{each.field}: {each.message}" for each in field_errors(error))
            raise RefusedModelError(invalid, f"{ORDER_NAME} can't be used: {wrong}") from error

    def _tag(self, key: str) -> str:
        try:
            return self.dropped.tag(key)
        except ObjectNotFoundError:
            raise RefusedModelError(
                QuantizationProblemCode.MODEL_CHANGED, f"{key} vanished while it was looked at."
            ) from None

    def _made_before(self, name: str, digest: str) -> QuantizedSource | None:
        try:
            body = self.dropped.get(quantized_source_key(name, digest))
            made = QuantizedSource.model_validate_json(body)
        except (ObjectNotFoundError, ValidationError):
            return None
        return made if is_complete(self.releases, name, made.artifact_sha256) else None


def _checked(prefix: str, found: Sequence[DroppedObject], max_bytes: int) -> list[SourceFile]:
    """The files as they are named to the job.

    Raises:
        RefusedModelError: They are none that may be quantised.
    """
    paths = [each.key.removeprefix(prefix) for each in found]
    if len(paths) > MAX_FILES:
        raise RefusedModelError(
            QuantizationProblemCode.TOO_MANY_FILES,
            f"The model has {len(paths)} files; {MAX_FILES} are the most.",
        )
    _refuse(
        QuantizationProblemCode.BAD_NAME,
        [path for path in paths if not _is_path(path)],
        "have names that can't be used (hidden folders such as .cache: leave them out with "
        "--exclude '.*' of `aws s3 cp`)",
    )
    _refuse(
        QuantizationProblemCode.PICKLE,
        [path for path in paths if _suffix(path) in PICKLE_SUFFIXES],
        "are pickles, which can run code when they are loaded; upload safetensors only "
        "(save_pretrained(..., safe_serialization=True))",
    )
    _refuse(
        QuantizationProblemCode.UNKNOWN_FILE,
        [path for path in paths if _suffix(path) not in _SUFFIXES],
        f"are of a kind that no model needs; allowed are {', '.join(sorted(_SUFFIXES - {''}))}",
    )
    if MANIFEST_NAME in paths:
        raise RefusedModelError(
            QuantizationProblemCode.MODEL_MISSING,
            f"{MANIFEST_NAME} says that this model is quantised already; bring it to the registry "
            "with `python -m operations models publish`.",
        )
    if _MODEL_INDEX not in paths:
        raise RefusedModelError(
            QuantizationProblemCode.MODEL_MISSING,
            f"There is no {_MODEL_INDEX} beside {ORDER_NAME}: upload a diffusers model first, and "
            f"{ORDER_NAME} last.",
        )
    total = sum(each.bytes for each in found)
    if total > max_bytes:
        raise RefusedModelError(
            QuantizationProblemCode.TOO_LARGE,
            f"The model has {total:,} bytes; this stage takes {max_bytes:,}.",
        )
    return [
        SourceFile(path=path, bytes=each.bytes) for path, each in zip(paths, found, strict=True)
    ]


def _refuse(code: QuantizationProblemCode, paths: Sequence[str], why: str) -> None:
    if paths:
        more = f" and {len(paths) - _SHOWN} others" if len(paths) > _SHOWN else ""
        names = ", ".join(path[:100] for path in paths[:_SHOWN])
        raise RefusedModelError(code, f"{names}{more}: {why}.")


def _is_path(path: str) -> bool:
    try:
        _PATH.validate_python(path)
    except ValidationError:
        return False
    return True


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _newest(found: Sequence[DroppedObject]) -> datetime:
    """When the model was whole. Not now: a second execution would make other bytes of it."""
    return max(each.modified for each in found).replace(microsecond=0)
