import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from nvfp4_ddim_optimizer import machine as machine_module
from nvfp4_ddim_optimizer.machine import InstructionSet, parse_cpu_flags, probe_machine


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine_module, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine_module, "_OWN_CGROUP", tmp_path / "own")
    return tmp_path


def test_reads_flags_as_linux_and_macos_write_them() -> None:
    assert parse_cpu_flags(["fpu", "sse2", "avx2", "avx512f", "avx512_bf16", "amx_bf16"]) == {
        InstructionSet.AVX2,
        InstructionSet.AVX512,
        InstructionSet.AVX512_BF16,
        InstructionSet.AMX_BF16,
    }
    assert parse_cpu_flags(["fp", "asimd", "sve", "bf16"]) == {
        InstructionSet.NEON,
        InstructionSet.SVE,
        InstructionSet.NEON_BF16,
    }
    assert parse_cpu_flags(["hw.optional.arm.FEAT_BF16", "hw.optional.neon"]) == {
        InstructionSet.NEON,
        InstructionSet.NEON_BF16,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\n", {InstructionSet.AVX2}),
        ("Features\t: fp asimd\n", {InstructionSet.NEON}),
        ("nothing known", set()),
    ],
)
def test_reads_cpuinfo(
    text: str, expected: set[InstructionSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    monkeypatch.setattr(machine_module, "_CPUINFO", cpuinfo)
    assert probe_machine(gpus=False).instruction_sets == expected


def test_without_limits_sees_the_whole_machine(cgroup: Path) -> None:
    machine = probe_machine(gpus=False)
    assert machine.total_bytes == psutil.virtual_memory().total
    assert 0 < machine.available_bytes <= machine.total_bytes
    assert 1 <= machine.cpu_count <= (os.cpu_count() or 1)
    assert machine.gpus == ()


def test_respects_a_containers_limits(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("500000000\n")
    (cgroup / "memory.current").write_text("200000000\n")
    (cgroup / "cpu.max").write_text("100000 100000\n")
    machine = probe_machine(gpus=False)
    assert machine.total_bytes == 500_000_000
    assert machine.available_bytes <= 300_000_000
    assert machine.cpu_count == 1


def test_a_container_above_its_limit_has_nothing_left(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("1000")
    (cgroup / "memory.current").write_text("2000")
    assert probe_machine(gpus=False).available_bytes == 0


def test_an_unlimited_container_is_no_limit(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "cpu.max").write_text("max 100000\n")
    assert probe_machine(gpus=False).total_bytes == psutil.virtual_memory().total


def test_the_tightest_limit_of_all_groups_above_counts(cgroup: Path) -> None:
    (cgroup / "own").write_text("12:cpu:/elsewhere\n0::/system/run.scope\n")
    scope = cgroup / "system" / "run.scope"
    scope.mkdir(parents=True)
    (scope / "memory.max").write_text("max")
    (scope.parent / "memory.max").write_text("2000000000")
    (scope.parent / "memory.current").write_text("500000000")
    (cgroup / "memory.max").write_text("4000000000")
    (cgroup / "memory.current").write_text("3500000000")
    machine = probe_machine(gpus=False)
    assert machine.total_bytes == 4_000_000_000
    assert machine.available_bytes <= 500_000_000


def test_cached_files_are_given_up_for_the_asking(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("1000000000")
    (cgroup / "memory.current").write_text("900000000")
    (cgroup / "memory.stat").write_text("anon 100000000\ninactive_file 700000000\n")
    assert probe_machine(gpus=False).available_bytes > 700_000_000


def test_a_limit_counts_what_the_process_has() -> None:
    machine = probe_machine(gpus=False)
    assert 0 < machine.process_bytes < machine.total_bytes
    limited = machine.limited_to(machine.process_bytes + 1000)
    assert limited.available_bytes == 1000
    assert machine.limited_to(1).available_bytes == 0
    assert machine.limited_to(None) == machine


def test_a_limit_below_what_the_process_has_leaves_that_limit() -> None:
    machine = replace(probe_machine(gpus=False), available_bytes=10**9, process_bytes=10**9)
    limited = machine.limited_to(10**8)
    assert limited.available_bytes + limited.process_bytes == 10**8
