"""The first step: a manifest becomes items that can be worked on, and errors by line number."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from lambdas.domain.errors import InvalidBatchError, ObjectNotFoundError
from lambdas.domain.ports import Clock
from lambdas.domain.stopping import ServiceGate
from nvfp4_ddim_contracts import FieldError
from nvfp4_ddim_contracts.batches import (
    BatchItem,
    BatchRowError,
    ManifestFormat,
    batch_key,
    batch_name,
    run_key,
)

from .folder import BatchFolder
from .manifest import MAX_MANIFEST_BYTES, read_manifest
from .ports import BatchFiles
from .records import BatchRun

__all__ = ["BatchPreparer"]

_JSON_LINES = "application/jsonl"


@dataclass(frozen=True)
class BatchPreparer:
    """Reads manifests, while the service is not stopped."""

    files: BatchFiles
    clock: Clock
    gate: ServiceGate

    def prepare(self, manifest_key: str, run: str) -> BatchRun:
        """Read a manifest, and write its items and errors for the steps that follow.

        A manifest that cannot be read as a whole gives no items and one error, of line 0.

        Args:
            manifest_key: Where it lies.
            run: Names the execution; the same run writes the same files again.

        Returns:
            What the next steps need to know.

        Raises:
            InvalidBatchError: The key is no manifest's, so there is nowhere to write errors.
            ServiceStoppedError: Nothing may begin; asked again later, it goes on.
        """
        self.gate.require_open()
        found = batch_name(manifest_key)
        if found is None:
            raise InvalidBatchError(
                f"'{manifest_key}' is no manifest. Drop it as batches/NAME/manifest.jsonl (or "
                ".csv, or task.json); NAME has letters, digits, '.', '_' and '-', at most 63."
            )
        name, manifest_format = found
        started_at = self.clock.now()
        items, errors = self._read(name, manifest_key, manifest_format)
        items_key = run_key(name, run, "items.jsonl")
        errors_key = run_key(name, run, "errors.jsonl")
        self.files.put(items_key, _lines(items), _JSON_LINES)
        for key in (errors_key, batch_key(name, "errors.jsonl")):
            self.files.put(key, _lines(errors), _JSON_LINES)
        return BatchRun(
            batch=name,
            run=run,
            started_at=started_at,
            items_key=items_key,
            errors_key=errors_key,
            results_prefix=run_key(name, run, "tasks"),
            rows=len(items),
            invalid=len(errors),
        )

    def _read(
        self, name: str, key: str, manifest_format: ManifestFormat
    ) -> tuple[list[BatchItem], list[BatchRowError]]:
        items: list[BatchItem] = []
        errors: list[BatchRowError] = []
        try:
            if (size := self.files.size(key)) > MAX_MANIFEST_BYTES:
                raise InvalidBatchError(
                    f"The manifest has {size} bytes; {MAX_MANIFEST_BYTES} are the most. Split it."
                )
            folder = BatchFolder(name, lambda: self.files.list_below(batch_key(name, "")))
            for row in read_manifest(self.files.get(key), manifest_format, folder):
                if isinstance(row, BatchItem):
                    items.append(row)
                else:
                    errors.append(row)
            if not items and not errors:
                raise InvalidBatchError(
                    "The folder has no files that the task takes: put them there before task.json."
                    if manifest_format is ManifestFormat.FOLDER
                    else "The manifest has no rows."
                )
        except (InvalidBatchError, ObjectNotFoundError) as error:
            whole = FieldError(field="manifest", message=str(error))
            return [], [BatchRowError(line=0, errors=(whole,))]
        return items, errors


def _lines(records: Sequence[BaseModel]) -> bytes:
    return "".join(f"{record.model_dump_json()}\n" for record in records).encode()
