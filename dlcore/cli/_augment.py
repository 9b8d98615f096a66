"""Augmentations by name, as the command line takes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from dlcore.errors import suggest

# What an augmentation takes where no default is its own: mild, and on images of any size.
STRENGTHS: Mapping[str, Any] = {
    "affine": {"degrees": 15.0, "translate": 0.1, "scale": (0.9, 1.1), "shear": 10.0},
    "color": {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1},
    "crop": {"padding": 2},
    "cutmix": {"alpha": 1.0},
    "cutout": {"size": 4},
    "mixup": {"alpha": 0.2},
    "noise": {"std": 0.1},
    "rotate": {"degrees": 15.0},
    "shift": {"pixels": 2},
    **{name: {} for name in ("autocontrast", "equalize", "flip", "posterize", "rand_augment", "solarize")},
}
MIXING = ("cutmix", "mixup")  # labels too, so they are told how many classes there are


def make(names: Sequence[str], classes: int | None) -> Any:
    """Returns augmentations of images, one after the other, at mild strengths.

    Args:
        names: those of `STRENGTHS`.
        classes: of the labels.

    Raises:
        ValueError: for an augmentation that is not there, or that says nothing to a picture.

    Example:
        >>> make(["flip", "mixup"], 10)
        chain(flip(), mixup(0.2, classes=10))
    """
    from dlcore import augment

    for name in names:
        if name not in STRENGTHS:
            raise ValueError(f"augment: there is no {name!r} of images{suggest(name, STRENGTHS)}")
    made = [
        getattr(augment, name)(**STRENGTHS[name], **({"classes": classes} if name in MIXING else {})) for name in names
    ]
    return augment.chain(*made)
