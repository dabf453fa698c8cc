from importlib import import_module
from pathlib import Path

import pytest
import torch

from benchmarks.peers.client import Arena, ContestantError
from benchmarks.peers.contract import unet_inputs
from benchmarks.peers.registry import OURS, PEERS, Peer
from benchmarks.speed import measure

MODEL = Path(__file__).parents[3] / "models" / "emoji-64"


def test_everyone_gets_the_same_call() -> None:
    first, second = unet_inputs(MODEL, 64), unet_inputs(MODEL, 64)
    assert first.latents.shape[0] == first.text.shape[0] == 2
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.latents[0], first.latents[1])
    assert torch.equal(first.text, second.text)
    assert not torch.equal(first.text[0], first.text[1])


def test_a_peer_that_is_not_installed_says_what_is_missing() -> None:
    assert Peer("sdcpp", "q4_0", "", 0.5, ("no-such-package",)).missing == "no-such-package"
    assert PEERS[OURS].missing is None


@pytest.mark.parametrize("module", sorted({"ours", "torch_unet", "torchao_unet"}))
def test_a_contestants_module_has_what_the_worker_calls(module: str) -> None:
    loaded = import_module(f"benchmarks.peers.{module}")
    assert callable(loaded.load)
    needs = any(peer.converts for peer in PEERS.values() if peer.module == module)
    assert hasattr(loaded, "prepare") == needs


@pytest.mark.slow
def test_a_failure_is_a_record_and_not_the_end(tmp_path: Path) -> None:
    arena = Arena(tmp_path / "no-model", tmp_path, 64, 1)
    records = measure(arena, ["sdnq"], rounds=1, full=False, again=False)
    assert set(records) == {"sdnq"}
    assert "sdnq" in records["sdnq"]["failed"] or OURS in records["sdnq"]["failed"]


@pytest.mark.slow
def test_a_process_that_ends_is_an_error_with_its_log(tmp_path: Path) -> None:
    arena = Arena(tmp_path / "no-model", tmp_path, 64, 1)
    with pytest.raises(ContestantError, match=r"diffusers\.log"), arena.workers("diffusers"):
        pass
    assert "Traceback" in (tmp_path / "diffusers.log").read_text()
