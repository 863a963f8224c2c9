"""The structure of a program, from index arrays alone: matching, order, cycles, blocks; the result is a
schedule.
"""

from .blocks import levels, reachable, strong_components
from .description import describe, described_steps
from .loops import Loops
from .matching import DulmageMendelsohn, Matching, dulmage_mendelsohn, maximum_matching
from .schedule import build_schedule
from .steps import NOTHING, TEAR, TORN, Block, Deficiency, Schedule, Sequence, Step, Structure, Wide, collector_paused
from .tearing import feedback_vertices

__all__ = [
    "NOTHING",
    "TEAR",
    "TORN",
    "Block",
    "Deficiency",
    "DulmageMendelsohn",
    "Loops",
    "Matching",
    "Schedule",
    "Sequence",
    "Step",
    "Structure",
    "Wide",
    "build_schedule",
    "collector_paused",
    "describe",
    "described_steps",
    "dulmage_mendelsohn",
    "feedback_vertices",
    "levels",
    "maximum_matching",
    "reachable",
    "strong_components",
]
