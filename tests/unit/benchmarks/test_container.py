import json
from pathlib import Path

import pytest

from benchmarks.container import ContainerRun, Engine, claims, find_engine, main, measure


def test_an_engine_is_a_command_up_to_its_own_options() -> None:
    run = "podman --runtime runc run --ulimit nofile=1024:1024"
    assert find_engine(run) == Engine(
        ("podman", "--runtime", "runc"), ("--ulimit", "nofile=1024:1024")
    )
    assert find_engine("docker") == Engine(("docker",))


def test_without_an_engine_or_an_image_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    main(run=None, docs=tmp_path)
    assert "neither docker nor podman" in capsys.readouterr().out
    for run in ("/bin/false run", f"{tmp_path}/absent run"):
        main("some:image", run=run, docs=tmp_path)
        assert "has no image some:image" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_container_that_ends_is_an_error_with_its_last_words_and_is_removed(
    tmp_path: Path,
) -> None:
    engine = tmp_path / "engine"
    engine.write_text(
        '#!/bin/sh\necho "$@" >> "$0.calls"\n'
        'case "$1" in inspect) echo false;; logs) echo "no artifact";; esac\n'
    )
    engine.chmod(0o755)
    with pytest.raises(RuntimeError, match="no artifact"):
        measure(Engine((str(engine),), ("--cpus=1",)), "image", threads=2, pictures=1)
    calls = (tmp_path / "engine.calls").read_text().splitlines()
    assert calls[0].startswith("run --detach --network=host --name=nvfp4-ddim-benchmark-")
    assert calls[0].endswith("--env=OMP_NUM_THREADS=2 --cpus=1 image serve")
    assert calls[-1].startswith("rm --force nvfp4-ddim-benchmark-")


def test_claims_are_medians_and_say_nothing_of_memory_that_nobody_saw() -> None:
    runs = [ContainerRun(30.0 + k, 1.0 + k, 0.5 + k, None) for k in (0, 5, 1)]
    found = {claim.id: claim.value for claim in claims(2_000, runs, threads=1)}
    assert found == {
        "container_image_bytes": 2_000,
        "container_start_seconds": 31.0,
        "container_first_picture_seconds": 2.0,
        "container_warm_picture_seconds": 1.5,
    }
    seen = [*runs, ContainerRun(1.0, 1.0, 1.0, 400)]
    assert claims(2_000, seen, threads=1)[-1].value == 400
    assert json.dumps([claim.note for claim in claims(1, seen, threads=1)]).count("4 containers")
