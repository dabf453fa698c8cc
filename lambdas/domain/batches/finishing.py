"""The last step: what the tasks brought back becomes an index, a page and a summary."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lambdas.domain.ports import Clock
from nvfp4_ddim_contracts.batches import (
    BatchEntry,
    BatchItem,
    BatchRowError,
    BatchRowState,
    BatchSummary,
    batch_key,
)

from .page import render_page
from .ports import BatchFiles
from .records import BatchRun, TaskOutput

__all__ = ["BatchFinisher"]


@dataclass(frozen=True)
class BatchFinisher:
    """Writes down how a run ended.

    Attributes:
        files: The batches' bucket.
        clock: Time.
        tolerated_percentage: How many rows in a hundred may fail.
    """

    files: BatchFiles
    clock: Clock
    tolerated_percentage: float

    def finish(self, run: BatchRun, map_manifest_key: str | None) -> bool:
        """Write index, page and, last, the summary.

        Args:
            run: The run.
            map_manifest_key: What the Distributed Map's writer left; None where nothing ran.

        Returns:
            Whether no more rows failed than the stage tolerates; a manifest without a single row
            that could be read is not tolerated.
        """
        entries = [*self._invalid(run), *self._ended(map_manifest_key)]
        entries.sort(key=lambda entry: entry.line)
        summary = self._summary(run, entries)
        index = "".join(f"{entry.model_dump_json()}\n" for entry in entries).encode()
        self._put(run, "index.jsonl", index, "application/jsonl")
        self._put(run, "index.html", render_page(summary, entries), "text/html; charset=utf-8")
        body = summary.model_dump_json(indent=2).encode()
        self._put(run, "summary.json", body, "application/json")
        failed = run.rows - summary.states.get(BatchRowState.SUCCEEDED, 0)
        return run.rows > 0 and 100 * failed <= self.tolerated_percentage * run.rows

    def _put(self, run: BatchRun, name: str, body: bytes, content_type: str) -> None:
        self.files.put(batch_key(run.batch, name), body, content_type)

    def _invalid(self, run: BatchRun) -> Iterator[BatchEntry]:
        for line in self.files.get(run.errors_key).splitlines():
            error = BatchRowError.model_validate_json(line)
            reasons = "; ".join(f"{each.field}: {each.message}" for each in error.errors)
            yield BatchEntry(
                line=error.line, id=error.id, state=BatchRowState.INVALID, error=reasons
            )

    def _ended(self, map_manifest_key: str | None) -> Iterator[BatchEntry]:
        """Entries of tasks that came back, and of those that did not."""
        if map_manifest_key is None:
            return
        files = json.loads(self.files.get(map_manifest_key))["ResultFiles"]
        for child in self._children(files["SUCCEEDED"]):
            yield from TaskOutput.model_validate_json(child["Output"]).entries
        for child in self._children([*files["FAILED"], *files["PENDING"]]):
            reason = child.get("Cause") or child.get("Error") or "The task did not run."
            for value in json.loads(child["Input"])["Items"]:
                item = BatchItem.model_validate(value)
                yield BatchEntry(
                    line=item.line, id=item.id, state=BatchRowState.FAILED, error=reason[:300]
                )

    def _children(self, files: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for file in files:
            yield from json.loads(self.files.get(file["Key"]))

    def _summary(self, run: BatchRun, entries: list[BatchEntry]) -> BatchSummary:
        now = self.clock.now()
        made = [
            entry
            for entry in entries
            if entry.state is BatchRowState.SUCCEEDED and not entry.reused
        ]
        costs = [entry.cost_usd for entry in made if entry.cost_usd is not None]
        return BatchSummary(
            batch=run.batch,
            run=run.run,
            rows=len(entries),
            states=dict(Counter(entry.state for entry in entries)),
            reused=sum(entry.reused for entry in entries),
            started_at=run.started_at,
            finished_at=now,
            seconds=(now - run.started_at).total_seconds(),
            busy_seconds=sum(entry.busy_seconds for entry in made),
            cost_usd=sum(costs) if len(costs) == len(made) else None,
        )
