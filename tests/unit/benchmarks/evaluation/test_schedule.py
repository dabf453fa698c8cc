from benchmarks.evaluation.schedule import REFERENCE_STEPS, STEPS, SURVEY_STEPS, jobs
from benchmarks.evaluation.subjects import Seeds
from benchmarks.evaluation.weight_formats import FORMATS, preset_format
from nvfp4_ddim_contracts import Preset

from .conftest import TinySubject


def test_every_set_is_made_once_and_the_claims_come_first(tiny: TinySubject) -> None:
    wanted = jobs(tiny)
    keys = [job.key for job in wanted]
    assert len(set(keys)) == len(keys)
    first = [(job.weight_format.name, job.steps) for job in wanted[:2]]
    assert first == [("fp", 20), (preset_format(Preset.BALANCED).name, 20)]


def test_claims_have_full_sets_and_every_format_is_surveyed(tiny: TinySubject) -> None:
    counts = {job.key: job.count for job in jobs(tiny)}
    for preset in Preset:
        for steps in STEPS:
            for name in ("fp", preset_format(preset).name):
                assert counts[name, steps, Seeds.PAIRED] == tiny.full_count
    for name in FORMATS:
        assert counts[name, SURVEY_STEPS, Seeds.PAIRED] >= tiny.survey_count
    assert counts["fp", REFERENCE_STEPS, Seeds.PAIRED] == tiny.survey_count
    assert counts["fp", SURVEY_STEPS, Seeds.OTHER] == tiny.full_count
