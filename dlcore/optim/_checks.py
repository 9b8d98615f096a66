"""Hyperparameters are checked where they are concrete."""

from typing import Any

from jax.core import Tracer


def concrete(name: str, value: Any) -> float | None:
    """Returns a number that can be looked at; None for a traced value."""
    if isinstance(value, Tracer):
        return None
    if isinstance(value, str | bytes | bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number or a traced value, found {value!r}")
    return float(value)


def check_rate(rate: Any) -> None:
    """Refuses a learning rate that is not positive; schedules are functions."""
    if not callable(rate):
        check_positive("learning_rate", rate)


def check_positive(name: str, value: Any) -> None:
    """Refuses a number that is not positive."""
    number = concrete(name, value)
    if number is not None and not 0 < number < float("inf"):  # not a number is refused too
        raise ValueError(f"{name}: expected a positive number, found {value}")


def check_share(name: str, value: Any) -> None:
    """Refuses a share outside [0, 1)."""
    number = concrete(name, value)
    if number is not None and not 0 <= number < 1:
        raise ValueError(f"{name}: expected a number in [0, 1), found {value}")


def check_least(name: str, value: Any) -> None:
    """Refuses a negative number."""
    number = concrete(name, value)
    if number is not None and not 0 <= number < float("inf"):
        raise ValueError(f"{name}: expected a number of 0 or more, found {value}")


def check_adam(learning_rate: Any, b1: Any, b2: Any, eps: Any) -> None:
    """Refuses hyperparameters that no kind of Adam can use."""
    check_rate(learning_rate)
    check_share("b1", b1)
    check_share("b2", b2)
    check_least("eps", eps)
