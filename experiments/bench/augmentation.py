"""Speed of flip, shift and CutMix on batches of 256 images of 32 x 32 x 3 beside a loop over images in NumPy.

`python experiments/bench/augmentation.py`

The rival does what an input pipeline does: image by image a coin for the mirror, a random window of the padded image,
and a rectangle of another image. Ours runs jitted inside a `lax.scan`, as in a training loop. Both run interleaved in
one process, warm; figures are medians over the rounds. Give the machine nothing else to do.
"""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import augment

BATCH, SIDE, CLASSES, PADDING, STEPS, ROUNDS, REQUIRED = 256, 32, 10, 4, 20, 9, 5.0


def by_image(generator: np.random.Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One batch, image by image."""
    moved = np.empty_like(x)
    for i, image in enumerate(x):
        if generator.random() < 0.5:
            image = image[:, ::-1]
        padded = np.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
        top, left = generator.integers(0, 2 * PADDING + 1, 2)
        moved[i] = padded[top : top + SIDE, left : left + SIDE]
    soft = np.eye(CLASSES, dtype=np.float32)[y]
    mixed, labels = moved.copy(), soft.copy()
    for i, other in enumerate(generator.permutation(len(x))):
        size = int(SIDE * np.sqrt(1 - generator.beta(1.0, 1.0)))
        first = generator.integers(0, SIDE, 2) - size // 2
        (top, left), (bottom, right) = np.clip(first, 0, SIDE), np.clip(first + size, 0, SIDE)
        mixed[i, top:bottom, left:right] = moved[other, top:bottom, left:right]
        kept = 1 - (bottom - top) * (right - left) / SIDE**2
        labels[i] = kept * soft[i] + (1 - kept) * soft[other]
    return mixed, labels


def main() -> None:
    """Prints medians a batch, and the median of the ratios of each round."""
    generator = np.random.default_rng(0)
    x = generator.random((BATCH, SIDE, SIDE, 3), np.float32)
    y = generator.integers(0, CLASSES, BATCH).astype(np.int32)
    ours = augment.chain(augment.flip(), augment.shift(PADDING), augment.cutmix(1.0, classes=CLASSES))

    @jax.jit
    def loop(key: jax.Array, x: jax.Array, y: jax.Array) -> Any:
        def step(total: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
            batch = ours(jax.random.fold_in(key, i), {"x": x, "y": y})
            # Something must use the batch, or the compiler would leave it out.
            return total + batch["x"].sum() + batch["y"].sum(), None

        return jax.lax.scan(step, jnp.float32(0), jnp.arange(STEPS))[0]

    inputs = jnp.asarray(x), jnp.asarray(y)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(ROUNDS + 1):  # the first round compiles and is not counted
        began = time.perf_counter()
        jax.block_until_ready(loop(jax.random.key(number), *inputs))
        middle = time.perf_counter()
        for _ in range(STEPS):
            by_image(generator, x, y)
        if number:
            seconds["ours"].append((middle - began) / STEPS)
            seconds["theirs"].append((time.perf_counter() - middle) / STEPS)
    ratio = statistics.median(b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True))
    ms = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
    print("| flip, shift, CutMix, a batch of 256 | ours, in a scan | NumPy by image | NumPy / ours | required |")
    print("|---|---|---|---|---|")
    print(f"| | {ms['ours']:.2f} ms | {ms['theirs']:.2f} ms | {ratio:.1f} | {REQUIRED:.1f} |")


if __name__ == "__main__":
    main()
