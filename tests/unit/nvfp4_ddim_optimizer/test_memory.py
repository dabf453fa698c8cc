from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_optimizer.errors import HardwareError, InvalidInputError
from nvfp4_ddim_optimizer.machine import Gpu, InstructionSet, Machine
from nvfp4_ddim_optimizer.memory import ComputeDtype, plan_execution, recommend_preset

GB = 10**9
SD15 = 4 * GB  # bytes of Stable Diffusion 1.5 in float32
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


def test_a_laptop_computes_in_float32_and_keeps_weights_dequantised() -> None:
    plan = plan_execution(LAPTOP, SD15)
    assert plan.execution_path == "cpu/fp32/nvfp4-resident"
    assert not plan.vae_tiling


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
    assert not plan_execution(LAPTOP, SD15, low_memory=True).resident
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
    assert plan.vae_tiling is not plan.resident
    assert plan.batched_guidance is plan.resident


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
