import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nvfp4_ddim_optimizer.footprint import Picture
from nvfp4_ddim_optimizer.machine import probe_machine
from nvfp4_ddim_optimizer.planning import (
    MachineSpeed,
    measure_model,
    measure_speed,
    predict_seconds,
    speed,
)
from nvfp4_ddim_optimizer.shortcuts import Shortcuts
from nvfp4_ddim_optimizer.sources import locate_model

SPEED = MachineSpeed(convolution=5e10, linear=4e10, attention=3e10, plain_convolution=4e10)
NATIVE = Picture(16, 16)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Measures in no time, and counts how often."""
    calls: list[int] = []

    def measure() -> MachineSpeed:
        calls.append(1)
        return SPEED

    monkeypatch.setattr(speed, "_measure", measure)
    return calls


def test_measures_once(tmp_path: Path, quick: list[int]) -> None:
    machine, cache = probe_machine(gpus=False), tmp_path / "new" / "speed.json"
    assert measure_speed(machine, cache) == measure_speed(machine, cache) == SPEED
    assert len(quick) == 1
    assert list(json.loads(cache.read_text()).values()) == [asdict(SPEED)]
    measure_speed(replace(machine, architecture="riscv64"), cache)
    assert len(quick) == 2


@pytest.mark.parametrize("content", ["", "[]", "{not json", '{"KEY": {"convolution": 1}}'])
def test_a_damaged_memory_is_measured_anew(tmp_path: Path, quick: list[int], content: str) -> None:
    machine, cache = probe_machine(gpus=False), tmp_path / "speed.json"
    measure_speed(machine, cache)
    key = next(iter(json.loads(cache.read_text())))
    cache.write_text(content.replace("KEY", key))
    assert measure_speed(machine, cache) == SPEED
    assert len(quick) == 2


def test_a_memory_that_cannot_be_written_is_no_trouble(tmp_path: Path, quick: list[int]) -> None:
    (tmp_path / "file").touch()
    assert measure_speed(probe_machine(gpus=False), tmp_path / "file" / "speed.json") == SPEED


@pytest.mark.slow
def test_real_layers_reach_a_real_speed(tmp_path: Path) -> None:
    measured = measure_speed(probe_machine(gpus=False), tmp_path / "speed.json")
    assert all(1e8 < value < 1e14 for value in asdict(measured).values())


def test_predicts_longer_for_more(tiny_directory: Callable[[str], Path]) -> None:
    footprint = measure_model(locate_model(tiny_directory("sd1"))).footprint

    def seconds(picture: Picture = NATIVE, steps: int = 20, **options: object) -> float:
        return predict_seconds(footprint, SPEED, picture, steps=steps, **options)[1]  # type: ignore[arg-type]

    step, total = predict_seconds(footprint, SPEED, NATIVE, steps=20)
    assert 0 < 20 * step < total
    assert seconds(replace(NATIVE, batch=3)) == pytest.approx(3 * total)
    assert seconds(steps=40) == pytest.approx(total + 20 * step)
    assert seconds(replace(NATIVE, passes=1)) == pytest.approx(total - 10 * step)
    # Twice the side: four times the work, and attention more than that.
    assert seconds(Picture(32, 32)) > 4 * total


def test_shortcuts_save_what_they_leave_out(tiny_directory: Callable[[str], Path]) -> None:
    footprint = measure_model(locate_model(tiny_directory("sd1"))).footprint
    step, whole = predict_seconds(footprint, SPEED, NATIVE, steps=20)
    half_guided = Shortcuts(guidance_interval=(0.0, 0.5))
    _, seconds = predict_seconds(footprint, SPEED, NATIVE, steps=20, shortcuts=half_guided)
    assert seconds == pytest.approx(whole - 5 * step)
    _, cached = predict_seconds(
        footprint, SPEED, NATIVE, steps=20, shortcuts=Shortcuts(cache_interval=2)
    )
    assert cached == pytest.approx(whole - 10 * step * (1 - 0.17))
