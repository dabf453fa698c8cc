"""The scripts of the quick start, as far as they can be tried without installing anything."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "install.sh"
PNG = b"\x89PNG\r\n\x1a\n"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
    )


def write_script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with the scripts and a `.venv` whose Python records what pip was asked."""
    for name in ("install.sh", "verify_setup.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    write_script(
        tmp_path / ".venv/bin/python",
        'case "$1" in\n'
        f'  -c) exec "{sys.executable}" "$@" ;;\n'
        '  -m) echo "$@" >> "$(dirname "$0")/pip.log"; [ "$4" != show ] || echo "$TORCH" ;;\n'
        "  verify_setup.py) echo verified ;;\n"
        "esac",
    )
    return tmp_path


def pip_calls(checkout: Path) -> list[str]:
    return (checkout / ".venv/bin/pip.log").read_text().splitlines()


def test_scripts_are_valid_and_executable() -> None:
    assert run("bash", "-n", INSTALL).returncode == 0
    assert INSTALL.stat().st_mode & stat.S_IXUSR


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_shellcheck_finds_nothing() -> None:
    result = run("shellcheck", INSTALL)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_option(flag: str) -> None:
    result = run(INSTALL, flag)
    assert result.returncode == 0
    for part in ("--gpu", "--python PATH", "NVFP4_TORCH_INDEX", "verify_setup.py"):
        assert part in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--cpu"], "unknown argument: --cpu"), (["--python"], "--python needs a path")],
)
def test_wrong_arguments_show_the_usage(arguments: list[str], message: str) -> None:
    result = run(INSTALL, *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Usage:" in result.stderr


def test_a_python_that_does_not_do_is_refused(tmp_path: Path) -> None:
    write_script(tmp_path / "old-python", "exit 1")
    result = run(INSTALL, "--python", tmp_path / "old-python")
    assert result.returncode == 1
    assert "is not a Python 3.11 or newer" in result.stderr


def test_no_python_says_how_to_get_one(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "uname"):
        (tools / name).symlink_to(str(shutil.which(name)))
    result = run(checkout / "install.sh", PATH=str(tools))
    assert result.returncode == 1
    assert "python3-venv" in result.stderr


def test_a_broken_environment_is_not_touched(checkout: Path) -> None:
    write_script(checkout / ".venv/bin/python", "exit 1")
    result = run(checkout / "install.sh")
    assert result.returncode == 1
    assert "rm -r .venv" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the CPU index is for Linux")
@pytest.mark.parametrize(
    ("arguments", "environment", "index"),
    [
        ([], {}, "https://download.pytorch.org/whl/cpu"),
        (["--gpu"], {}, None),
        ([], {"NVFP4_TORCH_INDEX": ""}, None),
        (
            ["--gpu"],
            {"NVFP4_TORCH_INDEX": "https://mirror.example/whl"},
            "https://mirror.example/whl",
        ),
    ],
)
def test_the_index_for_pytorch(
    checkout: Path, arguments: list[str], environment: dict[str, str], index: str | None
) -> None:
    result = run(checkout / "install.sh", *arguments, **environment)
    assert result.returncode == 0, result.stderr
    assert "verified" in result.stdout
    install = pip_calls(checkout)[-1]
    assert install.endswith("--editable .[plots,server]")
    assert install.partition("--extra-index-url ")[2].partition(" ")[0] == (index or "")


@pytest.mark.parametrize(("torch", "replaced"), [("2.13.0+cpu", True), ("2.13.0", False)])
def test_gpu_replaces_the_cpu_build_only(checkout: Path, torch: str, replaced: bool) -> None:
    result = run(checkout / "install.sh", "--gpu", TORCH=f"Version: {torch}")
    assert result.returncode == 0, result.stderr
    assert any("uninstall" in call for call in pip_calls(checkout)) == replaced


def test_a_failed_installation_fails(checkout: Path) -> None:
    python = checkout / ".venv/bin/python"
    python.write_text(python.read_text().replace("esac", 'esac\n[ "$4" != install ]'))
    result = run(checkout / "install.sh")
    assert result.returncode == 1
    assert "pip could not install" in result.stderr
    assert "verified" not in result.stdout


def install_command(checkout: Path, body: str) -> None:
    write_script(checkout / ".venv/bin/nvfp4-ddim", body)


def verify(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    picture = checkout / "heart.png"
    return run(sys.executable, checkout / "verify_setup.py", "--output", picture, *arguments)


def test_verify_runs_both_commands(checkout: Path) -> None:
    (checkout / "ready.png").write_bytes(PNG)
    install_command(
        checkout,
        f'echo "$@"\n[ "$1" = verify ] || cp "{checkout}/ready.png" "{checkout}/heart.png"',
    )
    result = verify(checkout)
    assert result.returncode == 0, result.stderr
    assert "\nverify\n" in result.stdout
    assert "generate red heart --preset fast --seed 7 --device cpu" in result.stdout
    assert f"Ready. The picture is {checkout / 'heart.png'}" in result.stdout


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ('[ "$1" != verify ] || exit 4', 4, "ended with code 4"),
        ('[ "$1" != generate ] || exit 3', 3, "ended with code 3"),
        ('[ "$1" != generate ] || kill -9 $$', 1, "ended with code -9"),
    ],
)
def test_verify_passes_failures_on(checkout: Path, body: str, code: int, message: str) -> None:
    install_command(checkout, body)
    result = verify(checkout)
    assert result.returncode == code
    assert message in result.stderr


def test_verify_refuses_what_is_no_picture(checkout: Path) -> None:
    install_command(checkout, f'echo text > "{checkout}/heart.png"')
    result = verify(checkout)
    assert result.returncode == 1
    assert "not a PNG" in result.stderr


def test_verify_refuses_another_file_type(checkout: Path) -> None:
    result = run(sys.executable, checkout / "verify_setup.py", "--output", "heart.gif")
    assert result.returncode == 2
    assert ".png" in result.stderr


def test_verify_without_the_library_names_the_installer(checkout: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare/python3"
    bare.parent.mkdir()
    bare.symlink_to(Path(sys.executable).resolve())
    result = run(bare, checkout / "verify_setup.py", PATH=str(bare.parent))
    assert result.returncode == 1
    assert "install.sh" in result.stderr
