"""Files for tasks, from `examples/inputs/`: whatever a task's description says that it takes."""

from dataclasses import dataclass
from pathlib import Path

from nvfp4_ddim_contracts.media_types import media_type_of
from nvfp4_ddim_contracts.tasks import InputSlot, TaskName, TaskSpec

__all__ = ["INPUTS", "Sample", "samples_for"]

INPUTS = Path(__file__).resolve().parents[1] / "examples" / "inputs"
# Where several files would do, one that the model knows. A task that is not here takes any.
_PREFERRED = {
    TaskName.SEGMENT: "nuclei",
    TaskName.INTERPOLATE: "surface_temperature",
    TaskName.ANALYZE: "potato",
}


@dataclass(frozen=True)
class Sample:
    """A file.

    Attributes:
        name: Its name.
        media_type: What it is, of what the task takes.
        data: Its bytes.
    """

    name: str
    media_type: str
    data: bytes


def samples_for(spec: TaskSpec, made: dict[str, bytes] | None = None) -> dict[str, Sample]:
    """A file for every input that a task must have, each input another one.

    Args:
        spec: The task.
        made: Files that other tasks have made: some tasks take nothing else.

    Returns:
        Files by the names of the inputs; some are missing where no file fits.
    """
    found: dict[str, Sample] = {}
    for slot in spec.inputs:
        taken = {sample.name for sample in found.values()}
        sample = _sample_for(slot, _PREFERRED.get(spec.name, ""), taken, made or {})
        if slot.required and sample is not None:
            found[slot.name] = sample
    return found


def _sample_for(
    slot: InputSlot, preferred: str, taken: set[str], made: dict[str, bytes]
) -> Sample | None:
    paths = sorted(INPUTS.iterdir()) if INPUTS.is_dir() else []
    own = {path.name: path for path in paths if path.is_file() and path.name not in taken}
    names = sorted(own, key=lambda name: (not name.startswith(preferred), name))
    for name in [*names, *made]:
        media_type = media_type_of(name, slot.media_types)
        if media_type is not None:
            data = own[name].read_bytes() if name in own else made[name]
            return Sample(name, media_type, data)
    return None
