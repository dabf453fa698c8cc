"""The one code bundle that all Lambdas share: our packages and the wheels they need.

Made by pip alone, never Docker, before CDK sees it. A bundle's directory is named after what went
into it, so that a second synthesis finds it there.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import LambdaBundleError
from .paths import REPOSITORY

__all__ = ["AWS_LAMBDA", "HOST", "BundleTarget", "LambdaBundle", "build_bundle", "pip_install"]

_SOURCES = (REPOSITORY / "lambdas", REPOSITORY / "inference" / "nvfp4_ddim_contracts")
_REQUIREMENTS = REPOSITORY / "lambdas" / "requirements.txt"
_CACHE = REPOSITORY / "cdk.out.lambda"


@dataclass(frozen=True)
class BundleTarget:
    """Which interpreter the wheels are for; the host's own where `pip_arguments` is empty."""

    name: str
    pip_arguments: tuple[str, ...] = ()


AWS_LAMBDA = BundleTarget(
    name="python3.13-arm64",
    pip_arguments=(
        "--only-binary=:all:",
        "--implementation=cp",
        "--python-version=3.13",
        # Amazon Linux 2023 has glibc 2.34, so both kinds of wheel run.
        "--platform=manylinux_2_28_aarch64",
        "--platform=manylinux2014_aarch64",
    ),
)
HOST = BundleTarget(name=f"host-{sys.implementation.cache_tag}-{sys.platform}")


@dataclass(frozen=True)
class LambdaBundle:
    """A directory ready to be zipped, and the hash of what went into it."""

    directory: Path
    content_hash: str


PipInstall = Callable[[Path, Path, BundleTarget], None]
"""(requirements file, directory to fill, target)."""


def build_bundle(
    target: BundleTarget,
    *,
    sources: Sequence[Path] = _SOURCES,
    requirements: Path = _REQUIREMENTS,
    cache: Path = _CACHE,
    install: PipInstall | None = None,
) -> LambdaBundle:
    """Find or make the bundle for a target.

    Args:
        target: Where it runs.
        sources: Our packages.
        requirements: What pip installs beside them.
        cache: Directory of bundles made before.
        install: Brings the requirements; pip unless given.

    Returns:
        The bundle.

    Raises:
        LambdaBundleError: pip failed.
    """
    wheels_hash = _hash([target.name.encode(), requirements.read_bytes()])
    wheels = cache / f"wheels-{wheels_hash}"
    if not wheels.is_dir():
        _fill(wheels, lambda directory: (install or pip_install)(requirements, directory, target))
    files = [
        (path, path.relative_to(source.parent))
        for source in sources
        for path in sorted(source.rglob("*"))
        if path.is_file() and _is_code(path)
    ]
    content_hash = _hash(
        [
            wheels_hash.encode(),
            *(part for path, name in files for part in (str(name).encode(), path.read_bytes())),
        ]
    )
    bundle = cache / f"bundle-{content_hash}"
    if not bundle.is_dir():
        _fill(bundle, lambda directory: _assemble(directory, wheels, files))
    return LambdaBundle(directory=bundle, content_hash=content_hash)


def pip_install(requirements: Path, directory: Path, target: BundleTarget) -> None:
    """Install requirements into a directory with the pip of this interpreter.

    Raises:
        LambdaBundleError: pip failed; the message ends with what pip said.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile", "--target", str(directory), "--requirement", str(requirements)]
    outcome = subprocess.run(  # noqa: S603 - fixed command, no shell
        [*command, *target.pip_arguments], capture_output=True, text=True, check=False
    )
    if outcome.returncode != 0:
        raise LambdaBundleError(
            f"pip could not install {requirements} for {target.name}:\n{outcome.stderr[-2000:]}"
        )


def _is_code(path: Path) -> bool:
    return "__pycache__" not in path.parts and path.suffix in {".py", ".sh", ".typed"}


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:32]


def _fill(directory: Path, write: Callable[[Path], None]) -> None:
    """Make a directory under another name first: two runs at once must not see half of one."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".partial-") as scratch:
        content = Path(scratch) / "content"
        content.mkdir()
        write(content)
        try:
            content.rename(directory)
        except OSError:
            if not directory.is_dir():
                raise


def _assemble(directory: Path, wheels: Path, files: Iterable[tuple[Path, Path]]) -> None:
    shutil.copytree(
        wheels,
        directory,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", "bin", "tests"),
    )
    for path, name in files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, directory / name)  # with its mode: a script stays executable
