"""A processing job's folders with a tiny model in them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nvfp4_ddim_contracts.incoming import QuantizationOrder, QuantizationTask, SourceFile
from nvfp4_ddim_jobs.folders import ProcessingFolders
from tests.support_pipelines import save_tiny_pipeline


@pytest.fixture
def folders(tmp_path: Path) -> ProcessingFolders:
    found = ProcessingFolders(tmp_path / "ml")
    save_tiny_pipeline(found.model)
    return found


@pytest.fixture
def write_task(folders: ProcessingFolders) -> Callable[..., QuantizationTask]:
    """Writes the task for what lies in the model's folder."""

    def write(**order: Any) -> QuantizationTask:
        files = tuple(
            SourceFile(path=path.relative_to(folders.model).as_posix(), bytes=path.stat().st_size)
            for path in sorted(folders.model.rglob("*"))
            if path.is_file()
        )
        task = QuantizationTask(
            name="tiny",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            order=QuantizationOrder.model_validate(
                {"license": "CC0-1.0", "effort": "fast", "prompts": ("fox",), **order}
            ),
            files=files,
        )
        folders.task.mkdir(parents=True, exist_ok=True)
        (folders.task / "task.json").write_text(task.model_dump_json())
        return task

    return write
