from pathlib import Path

import pytest

from infra.errors import LambdaBundleError
from infra.lambda_bundle import AWS_LAMBDA, HOST, BundleTarget, LambdaBundle, build_bundle


class FakePip:
    """Writes one module, and counts."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    def __call__(self, requirements: Path, directory: Path, target: BundleTarget) -> None:
        self.targets.append(target.name)
        (directory / "wheel.py").write_text(requirements.read_text())


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    package = tmp_path / "sources" / "ours"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "py.typed").touch()
    (package / "code.py").write_text("VALUE = 1\n")
    (package / "start.sh").touch(mode=0o755)
    (package / "notes.txt").write_text("not code")
    (package / "__pycache__" / "code.pyc").write_bytes(b"\0")
    return package


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("something==1\n")
    return path


@pytest.fixture
def pip() -> FakePip:
    return FakePip()


def _bundle(
    sources: Path, requirements: Path, pip: FakePip, target: BundleTarget = AWS_LAMBDA
) -> LambdaBundle:
    return build_bundle(
        target,
        sources=[sources],
        requirements=requirements,
        cache=requirements.parent / "cache",
        install=pip,
    )


def test_a_bundle_holds_code_and_wheels_only(
    sources: Path, requirements: Path, pip: FakePip
) -> None:
    directory = _bundle(sources, requirements, pip).directory
    held = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert held == {
        "wheel.py",
        "ours/__init__.py",
        "ours/py.typed",
        "ours/code.py",
        "ours/start.sh",
    }
    assert (directory / "ours" / "start.sh").stat().st_mode & 0o111 == 0o111


def test_the_same_inputs_make_the_same_bundle_once(
    sources: Path, requirements: Path, pip: FakePip
) -> None:
    first = _bundle(sources, requirements, pip)
    assert _bundle(sources, requirements, pip) == first
    assert len(pip.targets) == 1


def test_changed_code_makes_a_new_bundle_from_the_same_wheels(
    sources: Path, requirements: Path, pip: FakePip
) -> None:
    first = _bundle(sources, requirements, pip)
    (sources / "code.py").write_text("VALUE = 2\n")
    second = _bundle(sources, requirements, pip)
    assert second.content_hash != first.content_hash
    assert (second.directory / "ours" / "code.py").read_text() == "VALUE = 2\n"
    assert len(pip.targets) == 1


def test_other_requirements_or_targets_need_other_wheels(
    sources: Path, requirements: Path, pip: FakePip
) -> None:
    hashes = {_bundle(sources, requirements, pip).content_hash}
    hashes.add(_bundle(sources, requirements, pip, HOST).content_hash)
    requirements.write_text("something==2\n")
    hashes.add(_bundle(sources, requirements, pip).content_hash)
    assert len(hashes) == 3
    assert len(pip.targets) == 3


def test_a_failed_installation_leaves_nothing_behind(sources: Path, requirements: Path) -> None:
    def broken(_requirements: Path, directory: Path, _target: BundleTarget) -> None:
        (directory / "half.py").touch()
        raise LambdaBundleError("no network")

    cache = requirements.parent / "cache"
    with pytest.raises(LambdaBundleError, match="no network"):
        build_bundle(
            AWS_LAMBDA, sources=[sources], requirements=requirements, cache=cache, install=broken
        )
    assert list(cache.iterdir()) == []


def test_pip_says_what_it_could_not_install(tmp_path: Path) -> None:
    from infra.lambda_bundle import pip_install

    requirements = tmp_path / "requirements.txt"
    requirements.write_text("./no-such-directory\n")
    with pytest.raises(LambdaBundleError, match="no-such-directory"):
        pip_install(requirements, tmp_path / "out", HOST)
