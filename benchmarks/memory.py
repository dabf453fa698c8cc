"""Peak memory of a whole picture: text encoder, UNet and autoencoder, with guidance, on a CPU.

    python -m benchmarks.memory

Of the architectures of Stable Diffusion 1.5 and 2.1 with random weights. Every picture is painted
by a fresh process, and the kernel says what that process had resident at most (VmHWM). One step is
enough: later ones repeat it. The picture is also painted under a hard limit.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.artifacts import ARTIFACTS, ready_artifact
from benchmarks.claims import Claim, write_claims

_GB = 10**9
_HARD_LIMIT = 2 * _GB
_WATCH_SECONDS = 0.005


@dataclass(frozen=True)
class Case:
    """A picture to paint.

    Attributes:
        name: Of the claims.
        artifact: The model.
        side: Pixels.
        memory_limit: What the planner is told that it may take.
        goal: Bytes.
    """

    name: str
    artifact: Path
    side: int
    memory_limit: int
    goal: float


def paint(arguments: argparse.Namespace) -> None:
    """Paint one picture in this process and print what it took as JSON."""
    from nvfp4_ddim_optimizer.process import tune_allocator, tune_process

    tune_process()
    from nvfp4_ddim_optimizer import OptimizationPipeline
    from nvfp4_ddim_optimizer.footprint import Picture
    from nvfp4_ddim_optimizer.machine import probe_machine
    from nvfp4_ddim_optimizer.memory import plan_picture, predict
    from nvfp4_ddim_optimizer.planning import measure_model, measure_speed, predict_seconds
    from nvfp4_ddim_optimizer.sources import locate_model

    sampler = _Sampler()
    sampler.start()
    begin = time.perf_counter()
    pipeline = OptimizationPipeline.from_preset(
        arguments.artifact, memory_limit=arguments.memory_limit
    )
    if not pipeline.plan.resident:
        tune_allocator(keep_freed=False)
    loaded = time.perf_counter()
    picture = Picture(arguments.side, arguments.side)
    footprint = measure_model(locate_model(arguments.artifact)).footprint
    machine = probe_machine(gpus=False).limited_to(arguments.memory_limit)
    plan = plan_picture(pipeline.plan, machine, footprint, picture)
    prediction = predict(plan, machine, footprint, picture)
    times: list[float] = []
    pipeline.generate(
        "a lighthouse in a storm",
        negative_prompt="blurry",
        num_inference_steps=1,
        height=arguments.side,
        width=arguments.side,
        seed=1,
        on_step=lambda _: times.append(time.perf_counter()),
    )
    done = time.perf_counter()
    sampler.stop()
    status = _status()
    step, _ = predict_seconds(footprint, measure_speed(machine), picture, steps=1)
    print(
        json.dumps(
            {
                "execution_path": plan.execution_path,
                "batched_guidance": plan.batched_guidance,
                "peak_bytes": status["VmHWM"],
                "peak_anonymous_bytes": sampler.anonymous,
                "peak_mapped_bytes": sampler.mapped,
                "predicted_bytes": prediction.peak_bytes,
                "load_seconds": loaded - begin,
                "step_seconds": times[0] - loaded,
                "predicted_step_seconds": step,
                "decode_seconds": done - times[0],
                "stages": sampler.stages(begin, loaded, times[0], done),
            }
        )
    )


class _Sampler(threading.Thread):
    """Looks at this process's memory now and then."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, int, int]] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(_WATCH_SECONDS):
            status = _status()
            self.samples.append((time.perf_counter(), status["RssAnon"], status["RssFile"]))

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    @property
    def anonymous(self) -> int:
        return max(anonymous for _, anonymous, _ in self.samples)

    @property
    def mapped(self) -> int:
        return max(mapped for _, _, mapped in self.samples)

    def stages(self, *marks: float) -> dict[str, dict[str, int]]:
        """Peaks while loading, sampling (text encoder included) and decoding."""
        peaks = {}
        for name, begin, end in zip(("load", "sample", "decode"), marks, marks[1:], strict=False):
            within = [(a, m) for t, a, m in self.samples if begin <= t <= end] or [(0, 0)]
            anonymous, mapped = max(within, key=sum)
            peaks[name] = {"anonymous": anonymous, "mapped": mapped}
        return peaks


def _status(pid: int | str = "self") -> dict[str, int]:
    """Bytes of the entries of /proc/<pid>/status that are sizes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    entries = (line.split() for line in lines)
    return {e[0].rstrip(":"): int(e[1]) * 1024 for e in entries if len(e) == 3 and e[2] == "kB"}


def measure(case: Case) -> dict[str, Any]:
    """Paint in a fresh process.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run(_command(case), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{case.name} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(case.name, json.dumps(result, indent=2))
    return result


def completes_within(case: Case, limit: int) -> tuple[bool, str]:
    """Paint under a hard limit.

    Returns:
        (whether it came to its end, how the limit was enforced).
    """
    if _has_scopes():
        scope = ("systemd-run", "--scope", "--quiet", f"--property=MemoryMax={limit}")
        command = [*scope, "--property=MemorySwapMax=0", *_command(case)]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        return done.returncode == 0, f"a control group with memory.max = {limit}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(_command(case), **quiet)  # noqa: S603
    while process.poll() is None:
        try:
            if _status(process.pid).get("VmRSS", 0) > limit:
                process.kill()
        except FileNotFoundError:
            break
        time.sleep(_WATCH_SECONDS)
    how = (
        f"a watchdog that kills it above {limit} bytes resident, every {_WATCH_SECONDS * 1e3:g} ms"
    )
    return process.wait() == 0, how


def _has_scopes() -> bool:
    if shutil.which("systemd-run") is None:
        return False
    probe = ["systemd-run", "--scope", "--quiet", "true"]
    done = subprocess.run(probe, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0


def _command(case: Case) -> list[str]:
    worker = (sys.executable, "-m", "benchmarks.memory", "--paint", str(case.artifact))
    return [*worker, "--side", str(case.side), "--memory-limit", str(case.memory_limit)]


def _claims(case: Case, result: dict[str, Any]) -> list[Claim]:
    peak, predicted = result["peak_bytes"], result["predicted_bytes"]
    guidance = "in one batch" if result["batched_guidance"] else "one after the other"
    parts = {
        stage: f"{(part['anonymous'] + part['mapped']) / _GB:.2f} GB"
        for stage, part in result["stages"].items()
    }
    return [
        Claim(
            id=f"{case.name}_peak_bytes",
            value=peak,
            unit="bytes",
            goal=case.goal,
            better="lower",
            note=f"{result['execution_path']}, guidance passes {guidance}; "
            f"{result['peak_anonymous_bytes'] / _GB:.2f} GB anonymous and "
            f"{result['peak_mapped_bytes'] / _GB:.2f} GB mapped at most; by stage "
            + ", ".join(f"{stage} {size}" for stage, size in parts.items()),
        ),
        Claim(
            id=f"{case.name}_peak_predicted_ratio",
            value=round(predicted / peak, 3),
            unit="predicted / measured",
            goal=None,
            better="lower",
            note=f"predicted {predicted / _GB:.2f} GB; within 15 % is wanted",
        ),
    ]


def main() -> None:
    """Measure and write docs/benchmarks/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ARTIFACTS, help="where artifacts are kept")
    parser.add_argument("--paint", dest="artifact", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, default=512, help=argparse.SUPPRESS)
    parser.add_argument("--memory-limit", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.artifact is not None:
        paint(arguments)
        return
    sd15, sd21 = (ready_artifact(name, arguments.work) for name in ("sd15", "sd21"))
    small = Case("sd15_512", sd15, 512, _HARD_LIMIT, 1.6 * _GB)
    large = Case("sd21_1024", sd21, 1024, 4 * _GB, 4.0 * _GB)
    claims = [claim for case in (small, large) for claim in _claims(case, measure(case))]
    completes, how = completes_within(small, _HARD_LIMIT)
    claims.append(
        Claim(
            id="sd15_512_completes_within_2gb",
            value=int(completes),
            unit="(1: yes)",
            goal=1,
            better="higher",
            note=f"enforced by {how}",
        )
    )
    print(write_claims("memory", "python -m benchmarks.memory", claims))


if __name__ == "__main__":
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    main()
