from typing import Any

import pytest

from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.presets import PRESETS, get_preset
from nvfp4_ddim_optimizer.shortcuts import Shortcuts


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cache_interval": 0}, "cache_interval"),
        ({"cache_interval": 21}, "cache_interval"),
        ({"cache_interval": 2.0}, "whole number"),
        ({"cache_interval": True}, "whole number"),
        ({"guidance_interval": (0.5, 0.2)}, "start <= stop"),
        ({"guidance_interval": (-0.1, 1.0)}, "guidance_interval"),
        ({"guidance_interval": (0.0, float("nan"))}, "guidance_interval"),
        ({"guidance_interval": 0.5}, "pair of numbers"),
        ({"guidance_interval": (0.1, 0.2, 0.3)}, "pair of numbers"),
        ({"guidance_interval": ("a", "b")}, "pair of numbers"),
        ({"token_merging_ratio": -0.1}, "token_merging_ratio"),
        ({"token_merging_ratio": 0.8}, "token_merging_ratio"),
        ({"token_merging_ratio": float("nan")}, "token_merging_ratio"),
    ],
)
def test_refuses_what_is_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Shortcuts(**settings)


def test_the_callers_choice_wins_and_none_keeps() -> None:
    own = Shortcuts(3, (0.0, 0.8), 0.25)
    assert own.override() == own
    assert own.override(cache_interval=1, guidance_interval=(0, 1)) == Shortcuts(1, (0, 1), 0.25)
    assert own.override(token_merging_ratio=0).token_merging_ratio == 0


@pytest.mark.parametrize(("steps", "interval"), [(20, 4), (100, 4), (10, 2), (14, 2), (4, 1)])
def test_features_never_grow_older_than_they_were_measured(steps: int, interval: int) -> None:
    assert Shortcuts(cache_interval=4).for_steps(steps, 20).cache_interval == interval


def test_the_quality_preset_leaves_nothing_out() -> None:
    quality = get_preset("quality")
    assert quality.shortcuts.are_exact
    assert quality.resolve_shortcuts(50).are_exact


def test_every_preset_can_be_made_exact() -> None:
    for preset in PRESETS.values():
        exact = preset.resolve_shortcuts(
            preset.num_inference_steps,
            cache_interval=1,
            guidance_interval=(0, 1),
            token_merging_ratio=0,
        )
        assert exact.are_exact
