"""The garbage collector, held off while a large site is built."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Building a model makes hundreds of thousands of objects and no garbage: scanning them costs a third of the time.

    It holds for the whole process. Where blocks of several threads overlap, the first to end resumes it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
