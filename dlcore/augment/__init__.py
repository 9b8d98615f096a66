"""Augmentations: values called `augment(key, batch) -> batch`, which run inside the compiled training loop.

A batch is a dict with `x`, such as images (B, H, W, C), and perhaps `y` and `mask`; shapes stay, except that mixing
makes soft labels of integer ones. Every example has its own draw. Strengths may be traced, so that they can be swept
or scheduled without compiling anew; and the bits do not depend on whether the caller is compiled.

    >>> import jax, jax.numpy as jnp
    >>> augment = chain(flip(), shift(4), cutmix(1.0, classes=10))
    >>> batch = {"x": jnp.ones((8, 32, 32, 3)), "y": jnp.arange(8)}
    >>> jax.tree.map(jnp.shape, augment(jax.random.key(0), batch))
    {'x': (8, 32, 32, 3), 'y': (8, 10)}
"""

from dlcore.augment._batch import Augmentation
from dlcore.augment._color import autocontrast, color, equalize, posterize, solarize
from dlcore.augment._combine import chain, sometimes, test_time
from dlcore.augment._image import warp
from dlcore.augment._mix import cutmix, mixup
from dlcore.augment._place import crop, flip, shift
from dlcore.augment._rand_augment import rand_augment
from dlcore.augment._spectrogram import frequency_mask, time_mask
from dlcore.augment._spoil import cutout, noise
from dlcore.augment._tokens import token_mask
from dlcore.augment._warp import affine, rotate

__all__ = [
    "Augmentation",
    "affine",
    "autocontrast",
    "chain",
    "color",
    "crop",
    "cutmix",
    "cutout",
    "equalize",
    "flip",
    "frequency_mask",
    "mixup",
    "noise",
    "posterize",
    "rand_augment",
    "rotate",
    "shift",
    "solarize",
    "sometimes",
    "test_time",
    "time_mask",
    "token_mask",
    "warp",
]
