"""Compiled objects on disk, so that a second process starts without compiling.

One file an object, named by a hash of what it was made from: the text, llvmlite's version, the processor. Files are
written under another name and moved into place, so readers never see half of one; each begins with a hash of the rest,
so a damaged one is made anew. ``LAGRANGE_AD_CACHE`` names the folder, or turns it off when it is ``off``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

VARIABLE = "LAGRANGE_AD_CACHE"
_OFF = {"off", "0", "no", "none", "false"}


def folder() -> Path | None:
    """Where objects are kept: what the variable says, else the user's cache folder; None when turned off."""
    named = os.environ.get(VARIABLE, "")
    if named.lower() in _OFF:
        return None
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    if not home:
        home = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    path = Path(home) / "lagrange_ad"
    return path if path.is_absolute() else None  # no home: nothing is kept, least of all in the working directory


class ObjectCache:
    """Objects by the text they were compiled from; ``version`` is part of every name."""

    def __init__(self, version: str) -> None:
        self._version, self._folder = version, folder()

    def get(self, text: str) -> bytes | None:
        """The object of a text, or None where there is none, or a damaged one."""
        if self._folder is None:
            return None
        try:
            content = self._path(text).read_bytes()
        except OSError:
            return None
        digest, image = content[:32], content[32:]
        return image if hashlib.sha256(image).digest() == digest else None

    def put(self, text: str, image: bytes) -> None:
        """Keep an object; where the folder cannot be written, nothing is kept."""
        if self._folder is None:
            return
        path = self._path(text)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(image).digest() + image)
            os.replace(name, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name)

    def _path(self, text: str) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(f"{self._version}\n{text}".encode()).hexdigest()
        return self._folder / name[:2] / f"{name[2:]}.o"
