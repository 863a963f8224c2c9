"""Settings of the whole suite: property tests draw the same examples in every run, and none is timed."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
