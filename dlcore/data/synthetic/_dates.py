"""Dates as people write them, and the same in ISO form: translation that a rule can check."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from dlcore.data.synthetic._arguments import as_key, whole

DATE_CHARACTERS = "_ ,-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DATE_FORMS = ("%d %B %Y", "%B %d, %Y", "%b %d %Y", "%A, %d %B %Y", "%d.%m.%Y", "%m/%d/%Y")

_MONTHS = tuple("January February March April May June July August September October November December".split())
_WEEKDAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
_WIDTH = len("Wednesday, 27 September 2023")
_FIRST_YEAR, _YEARS = 1900, 200
_ZERO = DATE_CHARACTERS.index("0")


def dates(key: Any, n: int) -> dict[str, Array]:
    """Dates of the years 1900 to 2099 in one of six human forms, to be translated to ISO (`2023-09-27`).

    Token `i` is the character `DATE_CHARACTERS[i]`; token 0, written `_`, fills up the shorter forms. The forms are
    `DATE_FORMS`, in the letters of `datetime.strptime`. Numbers alone are told apart by their separator: with dots
    the day comes first, with slashes the month. Days and forms are uniform.

    Args:
        key: an int or a JAX key.
        n: how many dates; static.

    Returns:
        `{"x": (n, 28) int32, "y": (n, 10) int32}`: tokens as written, and tokens of the ISO form.

    Raises:
        TypeError: `n` is not an int.
        ValueError: `n` is below 1.

    Source: Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate (2015),
    for the model that the task shows off; ISO 8601 for the form.

    Example:
        >>> batch = dates(0, 3)
        >>> for written, iso in zip(read_dates(batch["x"]), read_dates(batch["y"])):
        ...     print(f"{written:12} {iso}")
        Jul 22 2065  2065-07-22
        07.06.2099   2099-06-07
        17.12.1938   1938-12-17
    """
    return _dates(as_key("dates", key), whole("dates n", n))


def read_dates(tokens: Any) -> list[str]:
    """Returns the text of each row of tokens, without what fills it up.

    Args:
        tokens: (n, length) numbers of `DATE_CHARACTERS`.

    Raises:
        ValueError: the array has not two axes, or a number is no token.

    Example:
        >>> read_dates([[1 + DATE_CHARACTERS.index("4"), 0, 0]])
        ['5']
    """
    array = np.asarray(tokens)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ValueError(f"read_dates tokens: expected integers (n, length), found {array.dtype} {array.shape}")
    if array.size and not 0 <= array.min() <= array.max() < len(DATE_CHARACTERS):
        raise ValueError(
            f"read_dates tokens: expected 0 to {len(DATE_CHARACTERS) - 1}, found {array.min()} to {array.max()}"
        )
    return ["".join(DATE_CHARACTERS[token] for token in row).strip(DATE_CHARACTERS[0]) for row in array]


# Compiled as one: step by step its many small operations would each be compiled when it is first called.
@partial(jax.jit, static_argnames="n", inline=True)
def _dates(key: Any, n: int) -> dict[str, Array]:
    when, how = jax.random.split(key)
    epoch, first = datetime.date(1970, 1, 1), datetime.date(_FIRST_YEAR, 1, 1)
    count = (datetime.date(_FIRST_YEAR + _YEARS, 1, 1) - first).days
    days = jax.random.randint(when, (n,), 0, count) + (first - epoch).days  # (n,), since 1970-01-01
    year, month, day = _civil(days)
    digits = lambda number, width: _ZERO + number[:, None] // 10 ** jnp.arange(width)[::-1] % 10  # (n, width)
    name = lambda table, row: jnp.asarray(table)[row]  # (n, longest)
    pieces = {
        "%Y": digits(year, 4),
        "%m": digits(month, 2),
        "%d": digits(day, 2),
        "%B": name(_table(_MONTHS), month - 1),
        "%b": name(_table(tuple(month[:3] for month in _MONTHS)), month - 1),
        "%A": name(_table(_WEEKDAYS), (days + 3) % 7),  # 1970-01-01 was a Thursday
    }
    forms = jnp.stack([_written(form, pieces, n) for form in DATE_FORMS])  # (forms, n, width)
    chosen = jax.random.randint(how, (n,), 0, len(DATE_FORMS))
    return {"x": forms[chosen, jnp.arange(n)], "y": _written("%Y-%m-%d", pieces, n)[:, :10]}


def _written(form: str, pieces: dict[str, Array], n: int) -> Array:
    """Returns (n, width) tokens: the pieces of a form behind one another, the filling moved to the end."""
    parts, at = [], 0
    while at < len(form):
        if form[at] == "%":
            parts.append(pieces[form[at : at + 2]])
        else:
            parts.append(jnp.full((n, 1), DATE_CHARACTERS.index(form[at])))
        at += 2 if form[at] == "%" else 1
    tokens = jnp.concatenate(parts, axis=1).astype(jnp.int32)
    order = jnp.argsort(tokens == 0, axis=1, stable=True)
    tokens = jnp.take_along_axis(tokens, order, axis=1)
    return jnp.pad(tokens, ((0, 0), (0, _WIDTH - tokens.shape[1])))


def _table(names: tuple[str, ...]) -> np.ndarray:
    rows = np.zeros((len(names), max(map(len, names))), np.int32)
    for row, name in zip(rows, names, strict=True):
        row[: len(name)] = [DATE_CHARACTERS.index(character) for character in name]
    return rows


def _civil(days: Array) -> tuple[Array, Array, Array]:
    """Year, month and day of days since 1970-01-01 (Hinnant, chrono-Compatible Low-Level Date Algorithms, 2013)."""
    days = days + 719468  # since 0000-03-01: with years that begin in March the leap day comes last
    era, of_era = lax.div(days, 146097), lax.rem(days, 146097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * of_year + 2) // 153
    month = jnp.where(from_march < 10, from_march + 3, from_march - 9)
    day = of_year - (153 * from_march + 2) // 5 + 1
    return era * 400 + year_of_era + (month <= 2), month, day
