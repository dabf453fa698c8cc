"""What a built image takes: its size, its start, its first and its warm pictures, its memory."""

import json
import shlex
import shutil
import socket
import statistics
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer

from benchmarks.claims import DOCS, Claim, write_claims

__all__ = ["ContainerRun", "Engine", "claims", "find_engine", "main", "measure", "peak_bytes"]

_BUNDLED = "/opt/nvfp4-ddim/nvfp4_ddim_optimizer/bundled/emoji-64"
_REQUEST = {"prompt": "a red heart", "preset": "balanced", "seed": 7}
_START_SECONDS = 600.0
_REQUEST_SECONDS = 120.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Engine:
    """What runs containers here.

    Attributes:
        program: `docker` or `podman`, with its general options.
        options: Further options of `run`.
    """

    program: tuple[str, ...]
    options: tuple[str, ...] = ()

    def call(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            subprocess.CalledProcessError: It failed.
        """
        done = subprocess.run(  # noqa: S603 - the engine that was asked for
            [*self.program, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def holds(self, image: str) -> bool:
        """Whether it can start an image without asking a registry."""
        try:
            self.call("image", "inspect", image)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


@dataclass(frozen=True)
class ContainerRun:
    """One container from its start to its end; `peak_bytes` is None where nobody may look."""

    start_seconds: float
    first_seconds: float
    warm_seconds: float
    peak_bytes: int | None


def find_engine(run: str | None) -> Engine | None:
    """The engine of a command such as `podman --runtime runc run --ulimit …`, or the one here."""
    if run is not None:
        words = shlex.split(run)
        at = words.index("run") if "run" in words else len(words)
        return Engine(tuple(words[:at]), tuple(words[at + 1 :]))
    name = next(filter(shutil.which, ("docker", "podman")), None)
    return None if name is None else Engine((name,))


def measure(engine: Engine, image: str, *, threads: int, pictures: int) -> ContainerRun:
    """Start a container, wait for a green /ping, let it paint, and end it.

    Raises:
        subprocess.CalledProcessError: The engine failed.
        httpx.HTTPError: A request did.
        RuntimeError: The container ended, or never became healthy.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        "SM_MODEL_DIR": _BUNDLED,
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
        "OMP_NUM_THREADS": str(threads),
    }
    with httpx.Client(trust_env=False, timeout=_REQUEST_SECONDS) as client:
        begun = time.perf_counter()
        with _container(engine, image, environment) as name:
            _wait(engine, client, url, name)
            start = time.perf_counter() - begun
            seconds = [_paint(client, url) for _ in range(1 + pictures)]
            return ContainerRun(
                start, seconds[0], statistics.median(seconds[1:]), peak_bytes(engine, name)
            )


@contextmanager
def _container(engine: Engine, image: str, environment: dict[str, str]) -> Iterator[str]:
    name = f"nvfp4-ddim-benchmark-{uuid.uuid4().hex}"
    variables = [f"--env={key}={value}" for key, value in environment.items()]
    options = ["--detach", "--network=host", f"--name={name}", *variables, *engine.options]
    engine.call("run", *options, image, "serve")
    try:
        yield name
    finally:
        engine.call("rm", "--force", name)


def _wait(engine: Engine, client: httpx.Client, url: str, name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if client.get(f"{url}/ping").status_code == httpx.codes.OK:
                return
        if engine.call("inspect", "--format", "{{.State.Running}}", name) != "true":
            raise RuntimeError(f"The container ended:\n{engine.call('logs', name)[-2000:]}")
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"No green /ping within {_START_SECONDS:.0f} s.")


def _paint(client: httpx.Client, url: str) -> float:
    begun = time.perf_counter()
    client.post(
        f"{url}/invocations", json=_REQUEST, headers={"Accept": "image/png"}
    ).raise_for_status()
    return time.perf_counter() - begun


def peak_bytes(engine: Engine, name: str) -> int | None:
    """Most resident memory of the server's process so far, as this machine's kernel counted it."""
    process = Path("/proc") / engine.call("inspect", "--format", "{{.State.Pid}}", name)
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def claims(image_bytes: int, runs: Sequence[ContainerRun], threads: int) -> list[Claim]:
    """What the runs show; medians."""
    note = f"`cpu` image, bundled model, median of {len(runs)} containers"
    picture = f"64x64, balanced, 20 steps, {threads} thread(s); {note}"
    found = [
        Claim("container_image_bytes", image_bytes, "bytes", None, "lower", "uncompressed"),
        Claim(
            "container_start_seconds",
            statistics.median(run.start_seconds for run in runs),
            "s",
            None,
            "lower",
            f"from `run` to a green /ping, a warm-up picture included; {note}",
        ),
        Claim(
            "container_first_picture_seconds",
            statistics.median(run.first_seconds for run in runs),
            "s",
            None,
            "lower",
            f"the first request after that; {picture}",
        ),
        Claim(
            "container_warm_picture_seconds",
            statistics.median(run.warm_seconds for run in runs),
            "s",
            None,
            "lower",
            f"the ones after it; {picture}",
        ),
    ]
    peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
    if peaks:
        peak = statistics.median(peaks)
        note = f"resident memory of the server's process; {note}"
        found.append(Claim("container_peak_bytes", peak, "bytes", None, "lower", note))
    return found


def main(
    image: Annotated[str, typer.Argument(help="A built image of the target `cpu`.")] = (
        "nvfp4-ddim:cpu"
    ),
    *,
    run: Annotated[
        str | None,
        typer.Option(
            envvar="NVFP4_CONTAINER_RUN",
            help="What runs a container, up to its own options, where neither `docker run` nor "
            "`podman run` will do.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Containers to take medians of.")] = 3,
    pictures: Annotated[int, typer.Option(min=1, help="Warm requests to each.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Of one operation.")] = 1,
    docs: Annotated[Path, typer.Option(help="Where the claims go.")] = DOCS,
) -> None:
    """Start an image a few times, let it paint, and write down what it took.

    Needs docker or podman, and an image that is built already (docs/container.md says how); it
    builds and fetches none. Where there is neither, it says so and writes nothing. The container
    uses the host's network on a free port of the loopback interface, and the bundled model that
    lies in the image. For example, without root's cgroups:

    python -m benchmarks.container nvfp4-ddim:cpu --run "podman --runtime runc run --ulimit
    nofile=1024:1024 --ulimit nproc=1024:1024"
    """
    engine = find_engine(run)
    if engine is None:
        typer.echo("Left out: there is neither docker nor podman here. Nothing was measured.")
        return
    if not engine.holds(image):
        typer.echo(f"Left out: {shlex.join(engine.program)} has no image {image}. Build it first.")
        return
    size = int(json.loads(engine.call("image", "inspect", image))[0]["Size"])
    found = []
    for _ in range(rounds):
        found.append(measure(engine, image, threads=threads, pictures=pictures))
        typer.echo(found[-1])
    command = f"python -m benchmarks.container {image}"
    typer.echo(write_claims("container", command, claims(size, found, threads), docs))


if __name__ == "__main__":
    typer.run(main)
