"""Training: objectives, steps, and whole runs."""

from dlcore.train._cache import cache_folder
from dlcore.train._fit import fit
from dlcore.train._make_run import Result, make_run
from dlcore.train._objective import gradient_step, supervised
from dlcore.train._run import Run
from dlcore.train._state import TrainState

__all__ = ["Result", "Run", "TrainState", "cache_folder", "fit", "gradient_step", "make_run", "supervised"]
