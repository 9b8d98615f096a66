"""The library's own exceptions, and the hint that follows a mistyped name.

A wrong call raises `ValueError` or `TypeError`, as everywhere in Python. The classes here are for what comes from
outside the program: files, checkpoints, other processes.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

__all__ = [
    "CheckpointError",
    "DataError",
    "DlcoreError",
    "PeerError",
    "bind",
    "one_line",
    "suggest",
    "suggest_arguments",
]

P = ParamSpec("P")
T = TypeVar("T")


class DlcoreError(Exception):
    """Something outside the program is wrong: base of `DataError`, `CheckpointError` and `PeerError`.

    The message is one line with the path, what was expected there and what was found. The command line prints that
    line on standard error and exits with status 2, without a traceback.

    Example:
        >>> raise DlcoreError("runs/a/metrics.npz: expected 440 steps, found 12")
        Traceback (most recent call last):
        dlcore.errors.DlcoreError: runs/a/metrics.npz: expected 440 steps, found 12
    """


class DataError(DlcoreError):
    """A data file is missing, cut short or not what its name says; one line: path, expected, found.

    Example:
        >>> raise DataError("train-images.idx3-ubyte: expected 47040016 bytes, found 1024")
        Traceback (most recent call last):
        dlcore.errors.DataError: train-images.idx3-ubyte: expected 47040016 bytes, found 1024
    """


class CheckpointError(DlcoreError):
    """A checkpoint is missing, damaged or of another model; one line: path, expected, found.

    Example:
        >>> raise CheckpointError("runs/a/440: expected params/0/kernel of shape (64, 128), found (64, 32)")
        Traceback (most recent call last):
        dlcore.errors.CheckpointError: runs/a/440: expected params/0/kernel of shape (64, 128), found (64, 32)
    """


class PeerError(DlcoreError):
    """Another process of the same program was lost; one line: which, and what to do.

    Example:
        >>> raise PeerError("process 1 was lost, of 4; start all of them again with resume=True")
        Traceback (most recent call last):
        dlcore.errors.PeerError: process 1 was lost, of 4; start all of them again with resume=True
    """


def one_line(text: object, most: int = 200) -> str:
    r"""Returns what a file said, as a part of an error message: one line, of characters that can be printed.

    Args:
        text: anything; line breaks become blanks, what cannot be printed is escaped.
        most: of so many characters; the rest becomes dots.

    Example:
        >>> one_line("expected\n a name, found \x1b[31m", 28)
        'expected a name, found \\x1b[...'
    """
    line = " ".join(str(text).split())
    line = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line[: most + 1])
    return line if len(line) <= most else f"{line[:most]}..."


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns the end of an error message about an unknown name: the nearest known name, or all of them.

    Args:
        name: what was typed.
        known: the names that would have been accepted.

    Returns:
        `"; did you mean 'adam'?"` when a known name is near (letter case does not count), otherwise
        `"; known names: 'adam', 'sgd'"`, and `""` when nothing is known at all.

    Source: nearness is `difflib`'s ratio of matching blocks (Ratcliff and Metzener, 1988).

    Example:
        >>> suggest("adm", ["sgd", "adam"])
        "; did you mean 'adam'?"
        >>> suggest("rprop", ["sgd", "adam"])
        "; known names: 'adam', 'sgd'"
    """
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known, reverse=True)}
    near = difflib.get_close_matches(str(name).casefold(), by_folded, n=1)
    if near:
        return f"; did you mean {by_folded[near[0]]!r}?"
    return "; known names: " + ", ".join(map(repr, sorted(by_folded.values()))) if by_folded else ""


def bind(name: str, signature: inspect.Signature, args: Any, kwargs: Any) -> inspect.BoundArguments:
    """Returns the arguments of a call by name.

    Args:
        name: what the function is called.
        signature: what it takes.
        args: the positional arguments.
        kwargs: the keyword arguments.

    Raises:
        TypeError: the call does not fit; a mistyped keyword gets a suggestion.

    Example:
        >>> bind("area", inspect.signature(lambda width, height=1: 0), (2,), {}).arguments
        {'width': 2}
    """
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        unknown = next((given for given in kwargs if given not in signature.parameters), None)
        hint = suggest(unknown, signature.parameters) if unknown else f"; it takes {signature}"
        raise TypeError(f"{name}: {error}{hint}") from None


def suggest_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Marks a function with many keywords: a mistyped one gets a suggestion.

    Example:
        >>> @suggest_arguments
        ... def area(width, height): return width * height
        >>> area(2, hight=3)
        Traceback (most recent call last):
        TypeError: area: missing a required argument: 'height'; did you mean 'height'?
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        bind(function.__name__, signature, args, kwargs)
        return function(*args, **kwargs)

    return checked
