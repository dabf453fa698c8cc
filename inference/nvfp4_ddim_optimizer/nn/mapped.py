"""Giving back the pages of weights that are mapped from files."""

import bisect
import ctypes
import mmap
import platform
from pathlib import Path

from torch import nn

__all__ = ["release_pages"]

_MAPS = Path("/proc/self/maps")


def release_pages(module: nn.Module) -> int:
    """Take a model's mapped weights out of this process's memory.

    They stay usable: the next access maps a page anew, from the system's cache or the file.
    Weights that are not mapped from a file (moved, cast, quantised just now) are left alone.

    Args:
        module: A model that is not computing at the moment.

    Returns:
        Bytes of the ranges that were released; 0 where the system has no such call.
    """
    ranges = _mapped_ranges(module)
    if not ranges:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    released = 0
    for begin, end in ranges:
        address = ctypes.c_void_p(begin)
        if libc.madvise(address, ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED) == 0:
            released += end - begin
    return released


def _mapped_ranges(module: nn.Module) -> list[tuple[int, int]]:
    """Page-aligned [begin, end) of the storages that lie wholly in private mappings of files.

    The kernel is asked what is mapped: dropping a page of anything else would lose its content.
    """
    if platform.system() != "Linux":
        return []
    files = _file_mappings()
    starts = [begin for begin, _ in files]
    found = set()
    for tensor in module.state_dict().values():
        storage = tensor.untyped_storage()
        if tensor.device.type != "cpu" or storage.nbytes() == 0:
            continue
        begin = storage.data_ptr()
        end = begin + storage.nbytes()
        place = bisect.bisect_right(starts, begin) - 1
        if place < 0 or end > files[place][1]:
            continue
        # Only whole pages of the storage itself; its neighbours may be someone else's.
        first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
        last = end // mmap.PAGESIZE * mmap.PAGESIZE
        if end == files[place][1] or files[place][1] - end < mmap.PAGESIZE:
            last = files[place][1]  # the mapping ends within this page: nothing else is in it
        if first < last:
            found.add((first, last))
    return sorted(found)


def _file_mappings() -> list[tuple[int, int]]:
    """[begin, end) of this process's mappings of files, by address; neighbours joined."""
    mappings: list[tuple[int, int]] = []
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) < 6 or not fields[5].startswith("/"):
            continue
        begin, end = (int(part, 16) for part in fields[0].split("-"))
        if mappings and mappings[-1][1] == begin:
            mappings[-1] = (mappings[-1][0], end)
        else:
            mappings.append((begin, end))
    return mappings
