"""Synthetic sets: pure functions of a key and static sizes that may be compiled, with a rule that is known."""

from dlcore.data.synthetic._curves import circles, moons, spirals
from dlcore.data.synthetic._dates import DATE_CHARACTERS, DATE_FORMS, dates, read_dates
from dlcore.data.synthetic._regions import blobs, checkerboard, xor
from dlcore.data.synthetic._scenes import digit_scenes
from dlcore.data.synthetic._sequences import lagged_copy, reversal, sorting
from dlcore.data.synthetic._series import tent_map
from dlcore.data.synthetic._sounds import chirps, tones
from dlcore.data.synthetic._surfaces import ravine, rosenbrock, valley

__all__ = [
    "DATE_CHARACTERS",
    "DATE_FORMS",
    "blobs",
    "checkerboard",
    "chirps",
    "circles",
    "dates",
    "digit_scenes",
    "lagged_copy",
    "moons",
    "ravine",
    "read_dates",
    "reversal",
    "rosenbrock",
    "sorting",
    "spirals",
    "tent_map",
    "tones",
    "valley",
    "xor",
]
