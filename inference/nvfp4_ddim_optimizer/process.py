"""Settings of the process as a whole: the C library's allocator, and threads.

They belong to whoever owns the process. Entry points make them; the library never does by itself.
"""

import ctypes
import os
import platform

from nvfp4_ddim_optimizer.machine import probe_machine

__all__ = ["tune_allocator", "tune_process"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # glibc, malloc.h
_LARGE_BYTES = 2**20
_MAX_MAPPINGS = 32_768  # half of what Linux allows a process (vm.max_map_count)


def tune_allocator(*, keep_freed: bool = True) -> bool:
    """Choose what glibc does with large blocks of memory that are freed.

    Layers allocate and free the same large activations again and again. With the default settings
    some are mapped anew every time and their pages faulted in, and others are kept where later,
    larger ones do not fit. For entry points; may be called again with another choice, which acts
    on what is allocated from then on.

    Args:
        keep_freed: Keep freed memory for later layers: the fastest, but what is kept is in
            pieces, and the peak is up to two thirds higher. False gives every block of a megabyte
            or more back at once: the least memory.

    Returns:
        Whether the C library took the settings (glibc only).
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    if keep_freed:
        return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
    taken = (
        libc.mallopt(_M_MMAP_MAX, _MAX_MAPPINGS)
        and libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        and libc.mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
    )
    libc.malloc_trim(0)
    return bool(taken)


def tune_process() -> None:
    """Set up the process for torch: allocator and threads. For entry points, before torch is
    imported, which reads some of it; the library never calls this itself. Variables that the
    environment already sets stay.
    """
    tune_allocator()
    # A container may own fewer processors than it sees; more threads than those fight each other.
    os.environ.setdefault("OMP_NUM_THREADS", str(probe_machine(gpus=False).cpu_count))
    # Threads that spin while they wait for each other starve on a machine that has other work, too:
    # two of them on two busy processors can take many times as long as one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Large pages for large tensors, where Linux has them to give (torch asks for them): rows of
    # matrices lie far apart, and each small page takes an entry of the processor's address cache.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
