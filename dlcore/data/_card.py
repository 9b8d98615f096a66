"""Cards: what a data set is, where it comes from, and on what terms it may be used."""

from __future__ import annotations

import dataclasses
import html

from dlcore.data import _card_table
from dlcore.errors import suggest


@dataclasses.dataclass(frozen=True, repr=False)
class Card:
    """What is to be known of a data set before it is used.

    Attributes:
        name: as it is called here.
        about: what it holds, in a sentence.
        source: who made it, and where from.
        licence: on what terms it may be used, as its makers state it; "none stated" where they do not.
        size: how many examples, in words.
        shapes: the shape of one example's x and y.
        splits: how it is cut, in words.
        classes: the names of the classes; none for regression and sequences.
        citation: the publication to name.

    Example:
        >>> Card("gate", "Two bits.", "made here", "MIT", "4", "x (2,), y ()", "none", ("off", "on"), "Boole (1854)")
        gate: Two bits.
          source    made here
          licence   MIT
          size      4
          shapes    x (2,), y ()
          splits    none
          classes   2: off, on
          citation  Boole (1854)
    """

    name: str
    about: str
    source: str
    licence: str
    size: str
    shapes: str
    splits: str
    classes: tuple[str, ...]
    citation: str

    def _rows(self) -> dict[str, str]:
        fields = ("source", "licence", "size", "shapes", "splits", "classes", "citation")
        rows = {field: getattr(self, field) for field in fields}
        names = self.classes if len(self.classes) <= 20 else (*self.classes[:5], "...", self.classes[-1])
        rows["classes"] = f"{len(self.classes)}: {', '.join(names)}" if self.classes else "none"
        return rows

    def __repr__(self) -> str:
        return "\n".join([f"{self.name}: {self.about}", *(f"  {row:<8}  {text}" for row, text in self._rows().items())])

    def _repr_html_(self) -> str:
        """Shows the card as a table in a notebook."""
        rows = "".join(f"<tr><th>{row}</th><td>{html.escape(text)}</td></tr>" for row, text in self._rows().items())
        return f"<p><b>{html.escape(self.name)}</b>: {html.escape(self.about)}</p><table>{rows}</table>"


def card(name: str) -> Card:
    """Returns the card of a data set: what it is, where it comes from, on what terms it may be used.

    Args:
        name: a bundled set (`dl.data.names()`), a synthetic one (`dl.data.synthetic`), or `"mnist"`,
            `"fashion_mnist"`, `"kmnist"`, `"cifar10"`, `"cifar100"`.

    Returns:
        The `Card`.

    Raises:
        ValueError: there is no card of that name.

    Example:
        >>> card("iris").licence
        'CC BY 4.0'
    """
    table = _card_table.rows()
    if name not in table:
        raise ValueError(f"data set: there is no card of {name!r}{suggest(name, table)}")
    return Card(name, *table[name])
