"""Settings of the whole suite: property tests draw the same examples in every run, and none is timed.

Compiled code is kept for one run alone, unless the caller names a folder: tests start from nothing and leave nothing.
"""

import os
import signal
import tempfile

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COLUMNS", None)  # workers are told that a line has 80 characters; tests read uncut tables

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C, and tests press it

_FOLDER = tempfile.TemporaryDirectory(prefix="lagrange_ad_cache_")
os.environ.setdefault("LAGRANGE_AD_CACHE", _FOLDER.name)
