from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_optimizer.errors import (
    HardwareError,
    InsufficientMemoryError,
    InvalidInputError,
)
from nvfp4_ddim_optimizer.footprint import (
    RUNTIME_BYTES,
    Component,
    Footprint,
    Picture,
    Work,
    rough_footprint,
)
from nvfp4_ddim_optimizer.machine import Gpu, InstructionSet, Machine
from nvfp4_ddim_optimizer.memory import (
    ComputeDtype,
    ExecutionPlan,
    largest_square,
    plan_candidates,
    plan_picture,
    predict,
    recommend_preset,
)
from nvfp4_ddim_optimizer.memory import plan_execution as plan_for

GB = 10**9
SD15 = 4 * GB  # bytes of Stable Diffusion 1.5 in float32
NATIVE = Picture(512, 512)
# Stable Diffusion 1.5 as it is found out to be.
FOOTPRINT = Footprint(
    text_encoder=Component(124_000_000, 492_000_000),
    unet=Component(487_000_000, 3_438_000_000, 2_086_000_000),
    vae=Component(99_000_000, 335_000_000),
    unet_call=Work(512 * 512, ((26_000_000, 118_000_000), (137_000_000, 0))),
    decoding=Work(512 * 512, ((1_275_000_000, 5_000_000),)),
    tiled_decoding=Work(512 * 512, ((537_000_000, 19_000_000),)),
    tile_bytes=67_000_000,
)
LAPTOP = Machine(
    system="Linux",
    architecture="x86_64",
    cpu_count=2,
    instruction_sets=frozenset({InstructionSet.AVX2}),
    total_bytes=16 * GB,
    available_bytes=12 * GB,
)
H100 = Gpu("H100", (9, 0), 80 * GB, 78 * GB)
T4 = Gpu("T4", (7, 5), 16 * GB, 15 * GB)
B200 = Gpu("B200", (10, 0), 180 * GB, 179 * GB)


def plan_execution(machine: Machine, original_bytes: int, **options: Any) -> ExecutionPlan:
    return plan_for(machine, rough_footprint(original_bytes), NATIVE, **options)


def test_a_laptop_computes_in_float32_and_keeps_weights_dequantised() -> None:
    plan = plan_execution(LAPTOP, SD15)
    assert plan.execution_path == "cpu/fp32/nvfp4-resident"
    assert plan.batched_guidance
    assert plan.vae_tiling


@pytest.mark.parametrize("instruction_set", [InstructionSet.AMX_BF16, InstructionSet.AVX512_BF16])
def test_bfloat16_only_where_the_processor_multiplies_it(instruction_set: InstructionSet) -> None:
    server = replace(LAPTOP, instruction_sets=LAPTOP.instruction_sets | {instruction_set})
    assert plan_execution(server, SD15).compute_dtype is ComputeDtype.BF16
    emulating = replace(LAPTOP, instruction_sets=frozenset({InstructionSet.AVX512}))
    assert plan_execution(emulating, SD15).compute_dtype is ComputeDtype.FP32


def test_small_memory_keeps_weights_packed_and_decodes_in_tiles() -> None:
    board = replace(LAPTOP, architecture="aarch64", available_bytes=4 * GB)
    plan = plan_execution(board, SD15)
    assert plan.execution_path == "cpu/fp32/nvfp4-packed"
    assert plan.vae_tiling
    assert plan_execution(board, 50_000_000).resident


def test_the_caller_overrides_what_memory_suggests() -> None:
    small = plan_execution(LAPTOP, SD15, low_memory=True)
    assert not small.resident
    assert not small.batched_guidance
    board = replace(LAPTOP, available_bytes=GB)
    assert plan_execution(board, SD15, low_memory=False).resident
    tiled = plan_execution(LAPTOP, SD15, vae_tiling=True)
    assert tiled.vae_tiling
    assert tiled.resident
    assert not plan_execution(LAPTOP, SD15, low_memory=True, vae_tiling=False).vae_tiling


@pytest.mark.parametrize(
    ("gpu", "path"),
    [(H100, "cuda/bf16/nvfp4-resident"), (T4, "cuda/fp16/nvfp4-resident")],
)
def test_gpus_compute_in_the_half_precision_they_have(gpu: Gpu, path: str) -> None:
    plan = plan_execution(replace(LAPTOP, gpus=(gpu,)), SD15, device="cuda")
    assert plan.execution_path == path


def test_a_gpu_is_judged_by_its_own_memory() -> None:
    full = replace(T4, free_bytes=3 * GB)
    machine = replace(LAPTOP, gpus=(H100, full))
    assert not plan_execution(machine, SD15, device="cuda:1").resident
    assert plan_execution(machine, SD15, device="cuda:0").resident


def test_offloading_never_keeps_dequantised_weights() -> None:
    plan = plan_execution(replace(LAPTOP, gpus=(H100,)), SD15, device="cuda", offload=True)
    assert plan.execution_path == "cuda/bf16/nvfp4-packed/offload"


def test_offloading_the_processor_makes_no_sense() -> None:
    with pytest.raises(InvalidInputError, match="low_memory=True"):
        plan_execution(LAPTOP, SD15, offload=True)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_a_missing_gpu_is_a_hardware_error(device: str) -> None:
    with pytest.raises(HardwareError, match="device='cpu'"):
        plan_execution(LAPTOP, SD15, device=device)


@pytest.mark.parametrize("device", ["", "gpu", "cuda:x", "mps"])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(InvalidInputError, match="device must be"):
        plan_execution(LAPTOP, SD15, device=device)


@given(size=st.integers(0, 10**12), free=st.integers(0, 10**12))
def test_resident_weights_always_leave_room(size: int, free: int) -> None:
    plan = plan_execution(replace(LAPTOP, available_bytes=free), size)
    if plan.resident:
        assert size < free


@pytest.mark.parametrize(
    ("free", "resident", "batched"),
    [(8 * GB, True, True), (4 * GB, False, True), (1_230_000_000, False, False), (0, False, False)],
)
def test_takes_the_fastest_way_that_fits(free: int, resident: bool, batched: bool) -> None:
    plan = plan_for(replace(LAPTOP, available_bytes=free), FOOTPRINT, NATIVE)
    assert (plan.resident, plan.batched_guidance) == (resident, batched)


def test_what_the_process_has_already_is_its_own() -> None:
    machine = replace(LAPTOP, available_bytes=1 * GB, process_bytes=300_000_000)
    plan = plan_for(machine, FOOTPRINT, NATIVE)
    assert predict(plan, machine, FOOTPRINT, NATIVE).fits
    alone = replace(machine, process_bytes=0)
    assert not predict(plan, alone, FOOTPRINT, NATIVE).fits


def test_ways_are_listed_from_fast_to_small() -> None:
    peaks = [
        predict(plan, LAPTOP, FOOTPRINT, NATIVE).peak_bytes for plan in plan_candidates(LAPTOP)
    ]
    assert peaks == sorted(peaks, reverse=True)
    assert min(peaks) > RUNTIME_BYTES


def test_a_request_is_fitted_into_what_is_left() -> None:
    loaded = plan_for(LAPTOP, FOOTPRINT, NATIVE, low_memory=None)
    packed = replace(loaded, resident=False)
    four = replace(NATIVE, batch=4)
    machine = replace(LAPTOP, available_bytes=1_700_000_000)
    assert plan_picture(packed, LAPTOP, FOOTPRINT, four) == packed
    fitted = plan_picture(packed, machine, FOOTPRINT, four)
    assert fitted == replace(packed, batched_guidance=False)


def test_what_fits_in_no_way_is_refused_with_the_numbers() -> None:
    machine = replace(LAPTOP, available_bytes=2 * GB)
    small = plan_for(machine, FOOTPRINT, NATIVE, low_memory=True)
    with pytest.raises(
        InsufficientMemoryError, match=r"1 x 1024x1024.*2\.00 GB.*at most"
    ) as caught:
        plan_picture(small, machine, FOOTPRINT, Picture(1024, 1024))
    assert caught.value.needed_bytes > caught.value.available_bytes == 2 * GB
    side = largest_square(small, machine, FOOTPRINT)
    assert f"{side}x{side}" in str(caught.value)
    assert plan_picture(small, machine, FOOTPRINT, Picture(side, side)) == small
    with pytest.raises(InsufficientMemoryError):
        plan_picture(small, machine, FOOTPRINT, Picture(side + 64, side + 64))


def test_says_what_to_change() -> None:
    machine = replace(LAPTOP, available_bytes=2 * GB)
    wasteful = plan_for(machine, FOOTPRINT, NATIVE, low_memory=False, vae_tiling=False)
    with pytest.raises(InsufficientMemoryError) as caught:
        plan_picture(wasteful, machine, FOOTPRINT, replace(NATIVE, batch=2))
    for advice in ("low_memory=True", "vae_tiling", "fewer pictures"):
        assert advice in str(caught.value)


def test_nothing_fits_where_the_process_alone_does_not() -> None:
    machine = replace(LAPTOP, available_bytes=0)
    plan = plan_for(machine, FOOTPRINT, NATIVE)
    assert largest_square(plan, machine, FOOTPRINT) == 0


def test_a_gpu_is_asked_and_not_guessed() -> None:
    machine = replace(LAPTOP, gpus=(replace(T4, free_bytes=GB),))
    plan = plan_for(machine, FOOTPRINT, NATIVE, device="cuda")
    huge = Picture(8192, 8192)
    assert plan_picture(plan, machine, FOOTPRINT, huge).device == "cuda"


def test_native_fp4_is_blackwells() -> None:
    assert B200.has_native_fp4
    assert not H100.has_native_fp4


@pytest.mark.parametrize(
    ("machine", "preset"),
    [
        (LAPTOP, Preset.FAST),
        (replace(LAPTOP, cpu_count=16), Preset.BALANCED),
        (replace(LAPTOP, gpus=(H100,)), Preset.QUALITY),
    ],
)
def test_recommends_steps_the_machine_can_pay_for(machine: Machine, preset: Preset) -> None:
    recommended, reason = recommend_preset(machine)
    assert recommended is preset
    assert reason
