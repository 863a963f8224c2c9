"""What is sent to the workers of an executor with every piece of work: packed once, unpacked once a process.

Threads share it as it is; other processes get it pickled, and keep the last few that they opened.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from functools import cached_property
from typing import Any

MOST_OPENED = 4
"""A process keeps so many parcels open."""
_OPENED: dict[str, Parcel] = {}
_OPENING = threading.Lock()


class Parcel:
    """Anything that pickles, with ``stop``, an event that threads of this process see."""

    def __init__(self, *content: Any) -> None:
        self.content = content
        self.stop = threading.Event()

    @cached_property
    def _packed(self) -> tuple[str, bytes]:
        packed = pickle.dumps((type(self), self.content))
        return hashlib.sha256(packed).hexdigest(), packed

    def __reduce__(self) -> Any:
        return opened, self._packed


def opened(digest: str, packed: bytes) -> Parcel:
    """The parcel of a content, the one that this process has where it has it."""
    with _OPENING:
        known = _OPENED.get(digest)
        if known is None:
            kind, content = pickle.loads(packed)
            known = _OPENED[digest] = kind(*content)
            if len(_OPENED) > MOST_OPENED:
                del _OPENED[next(iter(_OPENED))]
        return known
