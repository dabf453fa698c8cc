import pytest

from nvfp4_ddim_contracts import Preset, ScaleSearch
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.presets import PRESETS, get_preset


def test_presets_trade_steps_for_time() -> None:
    assert {str(name): config.num_inference_steps for name, config in PRESETS.items()} == {
        "fast": 10,
        "balanced": 20,
        "quality": 50,
    }
    assert get_preset("fast").scale_search is ScaleSearch.FOUR_OVER_SIX
    assert get_preset("balanced").scale_search is ScaleSearch.SWEEP
    assert get_preset("quality").scale_search is ScaleSearch.SWEEP
    assert all(config.name is Preset(name) for name, config in PRESETS.items())


@pytest.mark.parametrize("name", ["", "best", "FAST"])
def test_an_unknown_preset_names_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidInputError, match="'fast', 'balanced', 'quality'"):
        get_preset(name)
