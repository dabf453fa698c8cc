from typing import Any

import pytest

from nvfp4_ddim_contracts import GenerationRequest, Preset
from nvfp4_ddim_contracts.generation import MAX_SEED
from nvfp4_ddim_optimizer.shortcuts import Shortcuts
from nvfp4_ddim_server.errors import InvalidFieldsError
from nvfp4_ddim_server.planning import Plan, make_plan
from nvfp4_ddim_server.settings import ServerSettings


@pytest.fixture
def plan(pipeline: Any) -> Any:
    def make(settings: ServerSettings | None = None, **wishes: Any) -> Plan:
        request = GenerationRequest(prompt="a pear", **wishes)
        return make_plan(request, dict.fromkeys(Preset, pipeline), settings or ServerSettings())

    return make


def test_fills_in_what_the_model_and_preset_say(plan: Any) -> None:
    made = plan(preset="fast")
    assert made.key.num_inference_steps == Preset.FAST.steps
    assert made.key.guidance_scale == 3.0
    assert (made.key.width, made.key.height) == (16, 24)


def test_keeps_what_the_request_says_even_a_zero(plan: Any) -> None:
    made = plan(num_inference_steps=7, guidance_scale=0.0, width=64, height=32, eta=0.5, seed=0)
    assert made.key.num_inference_steps == 7
    assert made.key.guidance_scale == 0.0
    assert (made.key.width, made.key.height) == (64, 32)
    assert made.key.eta == 0.5
    assert made.seeds == (0,)


def test_shortcuts_are_the_pipelines_unless_the_request_names_its_own(plan: Any) -> None:
    assert plan().key.shortcuts == Shortcuts(cache_interval=2)
    wishes: dict[str, Any] = {"guidance_interval": [0.2, 0.9], "token_merging_ratio": 0.5}
    assert plan(**wishes).key.shortcuts == Shortcuts(2, (0.2, 0.9), 0.5)
    assert plan(cache_interval=1).key.shortcuts.are_exact


def test_seeds_count_up_and_wrap(plan: Any) -> None:
    assert plan(seed=MAX_SEED, num_images=3).seeds == (MAX_SEED, 0, 1)


def test_missing_seed_is_drawn_at_random(plan: Any) -> None:
    assert len({plan().seeds for _ in range(8)}) > 1


def test_total_steps_count_all_pictures(plan: Any) -> None:
    assert plan(num_inference_steps=5, num_images=4).total_steps == 20


def test_refuses_too_many_steps_and_pixels_naming_the_fields(plan: Any) -> None:
    settings = ServerSettings(max_steps=10, max_pixels=1024)
    with pytest.raises(InvalidFieldsError) as caught:
        plan(settings, num_inference_steps=11, width=64, height=64)
    assert [error.field for error in caught.value.errors] == [
        "num_inference_steps",
        "width",
        "height",
    ]


def test_the_presets_own_steps_are_limited_too(plan: Any) -> None:
    with pytest.raises(InvalidFieldsError, match="50 steps; this server allows 20"):
        plan(ServerSettings(max_steps=20), preset="quality")
