"""`nvfp4-ddim edge`: a device that takes its releases from AWS IoT."""

import logging
import shutil
import sys
from pathlib import Path
from signal import SIGTERM, signal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.logging import RichHandler

from nvfp4_ddim_contracts.edge import SelfTest
from nvfp4_ddim_optimizer.errors import InvalidInputError, NVFP4Error

from .pull import CdnOption, ParallelOption, PublicKeyOption, make_puller
from .runtime import err, out, waiting

if TYPE_CHECKING:
    from nvfp4_ddim_edge.agent import Agent
    from nvfp4_ddim_edge.agent_ports import JobService
    from nvfp4_ddim_edge.pulling import Puller

__all__ = ["edge"]

edge = typer.Typer(no_args_is_help=True, help="Keep a device's model up to date by AWS IoT Jobs.")

_INSTALL = "pip install 'nvfp4-ddim-optimizer[edge,iot]'"
_PAUSE_SECONDS = 60.0
_MAX_PAUSE_SECONDS = 900.0

File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, metavar="FILE")]


@edge.command()
def run(
    thing: Annotated[str, typer.Option("--thing", help="The device's thing name.")],
    cdn: CdnOption,
    *,
    root: Annotated[
        Path, typer.Option("--root", help="Where releases lie; `current` links to the one in use.")
    ] = Path("/var/lib/nvfp4-ddim"),
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="HOST", help="AWS IoT's data endpoint, for MQTT."),
    ] = None,
    certificate: File = None,
    private_key: File = None,
    authority: File = None,
    public_key: PublicKeyOption = None,
    parallel: ParallelOption = 4,
    once: Annotated[
        bool, typer.Option("--once", help="End when no job is left, instead of waiting for one.")
    ] = False,
) -> None:
    """Install the releases that jobs name: pull, test, switch, report, or return to the old one.

    \b
    [cyan]nvfp4-ddim edge run --thing nvfp4-ddim-prod-0042 --cdn URL \\
        --endpoint abc-ats.iot.eu-west-1.amazonaws.com \\
        --certificate device.pem --private-key device.key --public-key publisher.pem[/]

    Without --endpoint it speaks HTTPS with the AWS credentials of its environment.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=err)]
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with make_puller(cdn, public_key, parallel) as puller:
        service = _service(thing, endpoint, certificate, private_key, authority)
        agent = _agent(root, puller, service)
        agent.start()
        _loop(agent, service, once=once)


@edge.command()
def reference(
    model: Annotated[str, typer.Argument(help="Artifact directory or bundled name.")],
    directory: Annotated[Path, typer.Argument(help="Where <artifact's SHA-256>.json is written.")],
    *,
    prompt: Annotated[str, typer.Option(help="What to paint.")] = "a red heart",
    seed: Annotated[int, typer.Option(min=0)] = 7,
    steps: Annotated[int, typer.Option(min=1, max=100)] = 10,
) -> None:
    """Write the self-test that devices run before they use an artifact.

    \b
    [cyan]nvfp4-ddim edge reference emoji-64 infra/self_tests[/]
    """
    from nvfp4_ddim_optimizer.artifacts import artifact_sha256
    from nvfp4_ddim_optimizer.sources import bundled_models

    try:
        from nvfp4_ddim_edge.self_testing import reference as make_reference
    except ImportError as error:
        raise NVFP4Error(f"the device agent is not installed ({error}): {_INSTALL}") from error
    artifact = bundled_models().get(model, Path(model))
    test = SelfTest(prompt=prompt, seed=seed, num_inference_steps=steps)
    with waiting("Painting"):
        made = make_reference(artifact, test)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{artifact_sha256(artifact)}.json"
    path.write_text(made.model_dump_json(indent=2) + "\n")
    out.print(f"[bold green]{path}[/]", highlight=False, soft_wrap=True)


def _service(
    thing: str,
    endpoint: str | None,
    certificate: Path | None,
    private_key: Path | None,
    authority: Path | None,
) -> "JobService":
    try:
        if endpoint is None:
            from nvfp4_ddim_edge.iot_https import HttpsJobs

            return HttpsJobs.connect(thing)
        if certificate is None or private_key is None:
            raise InvalidInputError("--endpoint needs --certificate and --private-key")
        from nvfp4_ddim_edge.iot_mqtt import Certificate, MqttJobs

        return MqttJobs.over(endpoint, thing, Certificate(certificate, private_key, authority))
    except ImportError as error:
        raise NVFP4Error(
            f"AWS IoT's packages are not installed ({error}): {_INSTALL}, or [edge,aws] for HTTPS"
        ) from error


def _agent(root: Path, puller: "Puller", service: "JobService") -> "Agent":
    from nvfp4_ddim_edge.agent import Agent
    from nvfp4_ddim_edge.installing import CdnInstaller
    from nvfp4_ddim_edge.journal import JournalEntry, Knowledge, Record
    from nvfp4_ddim_edge.releases import Releases
    from nvfp4_ddim_edge.self_testing import ProcessSelfTester

    root = root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    return Agent(
        releases=Releases(root),
        journal=Record(root / "journal.json", JournalEntry),
        knowledge=Record(root / "knowledge.json", Knowledge),
        service=service,
        installer=CdnInstaller(puller),
        tester=ProcessSelfTester(),
        free_space=lambda directory: shutil.disk_usage(directory).free,
    )


def _loop(agent: "Agent", service: "JobService", *, once: bool) -> None:
    from nvfp4_ddim_edge.agent import StepResult

    # A power cut may come at any moment, so may the order to end.
    signal(SIGTERM, lambda *_: sys.exit(0))
    pause = _PAUSE_SECONDS
    while True:
        result = agent.step()
        if result is StepResult.DONE:
            pause = _PAUSE_SECONDS
            continue
        if once:
            raise typer.Exit(0 if result is StepResult.IDLE else 1)
        pause = _PAUSE_SECONDS if result is StepResult.IDLE else min(2 * pause, _MAX_PAUSE_SECONDS)
        service.wait(pause)
