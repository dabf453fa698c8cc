"""Processes of one thread each that average their gradients once a step.

On cores shared with other programs that wastes far less time than two threads meeting in every
layer: whoever is held up there holds up both.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

__all__ = ["run_workers", "share_gradients"]


def run_workers(work: Callable[[int, Any], None], options: Any, workers: int, port: int) -> None:
    """Call work(rank, options) in `workers` processes that meet at a local port."""
    if workers == 1:
        work(0, options)
        return
    arguments = (work, options, workers, port)
    mp.spawn(_join, args=arguments, nprocs=workers)  # type: ignore[attr-defined,no-untyped-call]


def _join(
    rank: int, work: Callable[[int, Any], None], options: Any, workers: int, port: int
) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=workers)
    work(rank, options)
    dist.destroy_process_group()


def share_gradients(parameters: Iterable[Tensor], progress: float) -> float:
    """Average gradients in place; returns the mean progress, so that all take the same step."""
    if not dist.is_initialized():
        return progress
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([progress])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    pieces = torch.split(flat[:-1], [g.numel() for g in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view_as(gradient))
    return float(flat[-1])
