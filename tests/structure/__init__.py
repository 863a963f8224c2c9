"""Tests of the structure analysis, on graphs alone."""
