"""The garbage collector, held off while a large site is built."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused(*, stays: bool = False) -> Iterator[None]:
    """Building a model makes hundreds of thousands of objects and no garbage: scanning them costs a third of the time.

    It holds for the whole process. Where blocks of several threads overlap, the first to end resumes it.

    Args:
        stays: What was built, and all else, is needed until the process ends: it is never scanned (`gc.freeze`). For a
            command, not for a role.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if stays:
            gc.freeze()
        if enabled:
            gc.enable()
