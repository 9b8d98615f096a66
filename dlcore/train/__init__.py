"""Training: objectives, steps, whole runs, sweeps of them, and runs from disk."""

from dlcore.train._augmented import augmented
from dlcore.train._cache import cache_folder
from dlcore.train._devices import use_all_cores
from dlcore.train._fit import fit
from dlcore.train._load import Verification, load, verify
from dlcore.train._loss_scale import LossScale
from dlcore.train._make_run import Result, make_run
from dlcore.train._objective import supervised
from dlcore.train._plan import plan
from dlcore.train._results import Sweep
from dlcore.train._run import Run
from dlcore.train._signals import exit_status
from dlcore.train._state import TrainState
from dlcore.train._step import gradient_step
from dlcore.train._sweep import sweep

__all__ = [
    "augmented",
    "LossScale",
    "Result",
    "Run",
    "Sweep",
    "TrainState",
    "Verification",
    "cache_folder",
    "exit_status",
    "fit",
    "gradient_step",
    "load",
    "make_run",
    "plan",
    "supervised",
    "sweep",
    "use_all_cores",
    "verify",
]
