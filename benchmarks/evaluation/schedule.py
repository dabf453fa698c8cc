"""Which sets are sampled, of how many samples, and in which order: the claims' first.

1. presets    full precision, balanced and fast, at the preset's own steps
2. quality    full precision and the preset quality at its 50 steps
3. reference  full precision at 100 steps
4. survey     every format at 20 steps
5. noise      full precision from other start noise at 20 steps: how far chance alone gets
6. curve      the presets' formats at all steps
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nvfp4_ddim_contracts import Preset

from .subjects import Seeds, Subject
from .weight_formats import FORMATS, FULL_PRECISION, WeightFormat, preset_format

__all__ = ["REFERENCE_STEPS", "STEPS", "SURVEY_STEPS", "Job", "jobs"]

STEPS = (10, 20, 50)
SURVEY_STEPS = 20
REFERENCE_STEPS = 100


@dataclass(frozen=True)
class Job:
    """One set of samples."""

    weight_format: WeightFormat
    steps: int
    seed: Seeds
    count: int

    @property
    def key(self) -> tuple[str, int, Seeds]:
        """What tells sets apart."""
        return self.weight_format.name, self.steps, self.seed


def jobs(subject: Subject) -> list[Job]:
    """All sets of a subject in order; of equal ones the first and the largest count."""
    found: dict[tuple[str, int, Seeds], Job] = {}
    for job in _wanted(subject):
        known = found.get(job.key)
        if known is None or known.count < job.count:
            # A smaller set that was asked for before stays where it was, and grows.
            found[job.key] = job
    return list(found.values())


def _wanted(subject: Subject) -> Iterator[Job]:
    full, survey = subject.full_count, subject.survey_count
    for preset in (Preset.BALANCED, Preset.FAST):
        yield from _pair(preset, preset.steps, full)
    yield from _pair(Preset.QUALITY, Preset.QUALITY.steps, full)
    yield Job(FULL_PRECISION, REFERENCE_STEPS, Seeds.PAIRED, survey)
    for known in FORMATS.values():
        yield Job(known, SURVEY_STEPS, Seeds.PAIRED, survey)
    yield Job(FULL_PRECISION, SURVEY_STEPS, Seeds.OTHER, full)
    for preset in (Preset.BALANCED, Preset.FAST, Preset.QUALITY):
        for steps in STEPS:
            yield from _pair(preset, steps, full)


def _pair(preset: Preset, steps: int, count: int) -> Iterator[Job]:
    """Full precision, and what a preset quantises to."""
    yield Job(FULL_PRECISION, steps, Seeds.PAIRED, count)
    yield Job(preset_format(preset), steps, Seeds.PAIRED, count)
