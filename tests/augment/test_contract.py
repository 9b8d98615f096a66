"""What all augmentations have in common: shapes, dtypes, keys, bits, and strengths that may be traced."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import augment as a
from tests.compiles import counting

KEY = jax.random.key(7)
RNG = np.random.default_rng(0)
IMAGES = {
    "x": jnp.asarray(RNG.random((16, 9, 12, 3)), jnp.float32),
    "y": jnp.asarray(RNG.integers(0, 5, 16), jnp.int32),
    "mask": jnp.ones(16, bool),
}
SPECTROGRAMS = {"x": jnp.asarray(RNG.normal(size=(16, 20, 8)), jnp.float32), "y": IMAGES["y"]}
TOKENS = {"x": jnp.asarray(RNG.integers(0, 50, (16, 30)), jnp.int32)}

# Name, factory of a strength, a strength that changes nearly every example, one that changes nothing, the batch.
RANDOM = [
    ("flip", lambda s: a.flip(s), 0.5, 0.0, IMAGES),
    ("flip_vertical", lambda s: a.flip(s, axis="vertical"), 0.5, 0.0, IMAGES),
    ("shift", lambda s: a.shift(s, fill=0.5), 5.0, 0.0, IMAGES),
    ("rotate", lambda s: a.rotate(s), 40.0, 0.0, IMAGES),
    ("affine", lambda s: a.affine(30 * s, 0.2 * s, (1 - 0.2 * s, 1 + 0.2 * s), 10 * s), 1.0, 0.0, IMAGES),
    ("color", lambda s: a.color(s, s, s, s), 0.4, 0.0, IMAGES),
    ("cutout", lambda s: a.cutout(s, fill=0.5), 5.0, 0.0, IMAGES),
    ("noise", lambda s: a.noise(s), 0.1, 0.0, IMAGES),
    ("mixup", lambda s: a.mixup(s, classes=5), 1.0, 0.0, IMAGES),
    ("cutmix", lambda s: a.cutmix(s, classes=5), 1.0, 0.0, IMAGES),
    ("sometimes", lambda s: a.sometimes(a.noise(0.1), s), 0.7, 0.0, IMAGES),
    ("time_mask", lambda s: a.time_mask(s, count=2), 6.0, 0.0, SPECTROGRAMS),
    ("frequency_mask", lambda s: a.frequency_mask(s, count=2), 4.0, 0.0, SPECTROGRAMS),
    ("token_mask", lambda s: a.token_mask(s, mask_id=1, vocabulary=50), 0.3, 0.0, TOKENS),
    ("chain", lambda s: a.chain(a.flip(s), a.shift(8 * s), a.cutout(6 * s)), 0.5, 0.0, IMAGES),
    ("solarize", lambda s: a.solarize(s), 0.3, 1.5, IMAGES),
    ("posterize", lambda s: a.posterize(s), 3.0, 8.0, IMAGES),
    ("rand_augment", lambda s: a.rand_augment(2, s), 12.0, None, IMAGES),
]
PLAIN = [
    ("crop", a.crop(3), IMAGES),
    ("crop_reflected", a.crop(3, mode="reflect"), IMAGES),
    ("equalize", a.equalize(), IMAGES),
    ("autocontrast", a.autocontrast(), IMAGES),
]
ALL = [pytest.param(make(strength), batch, id=name) for name, make, strength, _, batch in RANDOM]
ALL += [pytest.param(value, batch, id=name) for name, value, batch in PLAIN]
DRAWLESS = {"solarize", "posterize", "equalize", "autocontrast"}
SLOPED = {"affine", "color", "noise", "cutmix"}  # those that compute, and do not only move or select
STRENGTHS = [pytest.param(*row[1:3], row[4], id=row[0]) for row in RANDOM]
STILL = [pytest.param(row[1](row[3]), row[4], id=row[0]) for row in RANDOM if row[3] is not None]


def same_bits(ours, theirs):
    assert sorted(ours) == sorted(theirs)
    for name in ours:
        first, second = np.asarray(ours[name]), np.asarray(theirs[name])
        assert first.dtype == second.dtype and first.shape == second.shape
        assert first.tobytes() == second.tobytes(), name


@pytest.mark.few(1)
@pytest.mark.parametrize(("make", "strength", "batch"), STRENGTHS)
def test_bits_are_the_same_eager_and_in_a_compiled_loop_with_a_strength_that_is_known_or_traced(make, strength, batch):
    @jax.jit
    def loop(keys, strength):
        # Work before and after it that the compiler would like to merge with it, and a batch that it knows.
        def step(carry, key):
            known, traced = make(carry[0])(key, batch), make(strength)(key, batch)
            return carry, jax.tree.map(lambda v: v * 3, (known, traced))

        return jax.lax.scan(step, (strength,), keys)[1]

    plain = make(strength)(KEY, batch)
    same_bits(plain, make(strength)(KEY, batch))
    for looped in loop(jnp.stack([jax.random.key(1), KEY]), strength):
        same_bits(jax.tree.map(lambda v: v * 3, plain), jax.tree.map(lambda v: v[1], looped))
    with counting() as compiled:
        loop(jnp.stack([jax.random.key(1), KEY]), strength / 2)
    assert "loop" not in str(compiled.names), compiled


@pytest.mark.slow
@pytest.mark.parametrize(("augment", "batch"), [row for row in ALL if row.id in SLOPED])
def test_bits_are_the_same_where_the_compiler_knows_key_batch_and_strength(augment, batch):
    same_bits(augment(KEY, batch), jax.jit(lambda: augment(KEY, batch))())


@pytest.mark.few(3)
@pytest.mark.parametrize(("augment", "batch"), ALL)
def test_shapes_and_dtypes_stay_and_values_stay_in_range(augment, batch):
    found = augment(KEY, batch)
    assert bool(jnp.isfinite(found["x"]).all()) and set(batch) <= set(found)
    if batch is IMAGES and "noise" not in repr(augment):
        # Bilinear mixing may round one unit past an end.
        assert found["x"].min() >= -1e-6 and found["x"].max() <= 1 + 1e-6
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16) if batch is not TOKENS else (jnp.int32, jnp.int16):
        given = batch | {"x": batch["x"].astype(dtype)}
        shape = jax.eval_shape(augment, KEY, given)["x"]
        assert shape.shape == given["x"].shape and shape.dtype == dtype


@pytest.mark.slow
def test_in_half_precision_results_are_those_of_float32_rounded():
    augment = a.chain(a.affine(20, 0.1), a.color(0.2, 0.2), a.flip())
    half = IMAGES["x"].astype(jnp.bfloat16)
    found = augment(KEY, {"x": half})["x"].astype(jnp.float32)
    np.testing.assert_allclose(found, augment(KEY, {"x": half.astype(jnp.float32)})["x"], atol=0.02)


@pytest.mark.parametrize(("augment", "batch"), ALL)
def test_every_example_has_its_own_draw_and_another_key_gives_another(augment, batch, request):
    if request.node.callspec.id in DRAWLESS:
        one = {"x": batch["x"][:1]}
        same_bits({"x": augment(KEY, batch)["x"][:1]}, augment(jax.random.key(1), one))
        return
    alike = {name: jnp.broadcast_to(value[:1], value.shape) for name, value in batch.items()}
    if "mix" in repr(augment):
        alike = batch  # equal examples mix to equal ones: the labels tell
        found = augment(KEY, alike)["y"].max(1)
        assert len(set(np.asarray(found).tolist())) > 3
    else:
        found = np.asarray(augment(KEY, alike)["x"])
        # A flip has two outcomes, other draws have many.
        assert len({row.tobytes() for row in found}) >= (2 if "flip" in repr(augment) else 5)
    other = augment(jax.random.key(8), alike)
    assert not np.array_equal(augment(KEY, alike)["x"], other["x"])


@pytest.mark.parametrize(("augment", "batch"), STILL)
def test_strength_nothing_is_the_identity_to_the_bit(augment, batch):
    x = batch["x"].at[0, 0, 0].set(-0.0) if batch["x"].dtype == jnp.float32 else batch["x"]
    found = augment(KEY, batch | {"x": x})
    assert np.asarray(found["x"]).tobytes() == np.asarray(x).tobytes()
    if batch is IMAGES and jnp.ndim(found["y"]) == 2:
        np.testing.assert_array_equal(found["y"], jax.nn.one_hot(batch["y"], 5))


@pytest.mark.few(1)
@pytest.mark.parametrize(("make", "strength", "batch"), [row for row in STRENGTHS if row.id in SLOPED])
def test_gradients_are_finite_for_inputs_and_strengths(make, strength, batch):
    def total(x, strength):
        found = make(strength)(KEY, batch | {"x": x})
        return jnp.sum(found["x"] ** 2) + (jnp.sum(found["y"] ** 2) if found["y"].ndim == 2 else 0.0)

    gray = jnp.full_like(batch["x"], 0.5)  # has no hue
    for x in (batch["x"], gray):
        for gradient in jax.jit(jax.grad(total, argnums=(0, 1)))(x, jnp.float32(strength)):
            assert bool(jnp.isfinite(gradient).all())


@pytest.mark.parametrize(("augment", "batch"), ALL)
def test_an_empty_batch_goes_through(augment, batch):
    none = {name: value[:0] for name, value in batch.items()}
    assert jax.eval_shape(augment, KEY, none)["x"].shape == none["x"].shape


@pytest.mark.slow
def test_lanes_under_vmap_are_lone_runs_but_for_rounding():
    augment = a.chain(a.flip(), a.shift(2), a.affine(10, 0.1), a.color(0.2, 0.2), a.cutmix(1.0, classes=5))
    keys = jax.random.split(KEY, 3)
    lanes = jax.jit(jax.vmap(augment, in_axes=(0, None)))(keys, IMAGES)
    for lane, key in enumerate(keys):
        alone = augment(key, IMAGES)
        for name in ("x", "y"):
            np.testing.assert_allclose(lanes[name][lane], alone[name], atol=1e-5)


def test_values_have_recipes_and_equal_ones_are_one_object():
    assert a.chain(a.flip(), a.shift(4)) is a.chain(a.flip(0.5), a.shift(4))
    assert repr(a.chain(a.flip(), a.rand_augment(2, 9))) == "chain(flip(), rand_augment())"


ANY: Any = a  # wrong calls are the point
WRONG = [
    (lambda: ANY.flip(1.5), ValueError, "probability.*from 0 to 1, found 1.5"),
    (lambda: ANY.flip(float("nan")), ValueError, "probability"),
    (lambda: ANY.flip("half"), TypeError, "probability: expected one number"),
    (lambda: ANY.flip(np.ones(3)), TypeError, "probability: expected one number"),
    (lambda: ANY.flip(axis="diagonal"), ValueError, "axis: expected 'horizontal' or 'vertical'"),
    (lambda: ANY.shift(-1), ValueError, "pixels: expected a number of 0 or more, found -1"),
    (lambda: ANY.crop(1.5), TypeError, "padding: expected an integer"),
    (lambda: ANY.crop(1, mode="wrap"), ValueError, "mode"),
    (lambda: ANY.crop(9, mode="reflect")(KEY, IMAGES), ValueError, "padding: expected less than the sides"),
    (lambda: ANY.rotate(np.inf), ValueError, "degrees"),
    (lambda: ANY.affine(shear=90), ValueError, "shear.*from 0 to 89"),
    (lambda: ANY.affine(scale=2.0), ValueError, "scale"),
    (lambda: ANY.affine(scale=(2.0, 1.0)), ValueError, "scale: expected the smallest factor first"),
    (lambda: ANY.affine(scale=(0.0, 1.0)), ValueError, "scale"),
    (lambda: ANY.color(hue=0.6), ValueError, "hue.*from 0 to 0.5"),
    (lambda: ANY.color(saturation=0.5)(KEY, {"x": jnp.ones((2, 4, 4, 1))}), ValueError, "3 channels.*saturation"),
    (lambda: ANY.color(0.5)(KEY, {"x": jnp.ones((2, 4, 4, 2))}), ValueError, "1 or 3 channels"),
    (lambda: ANY.posterize(9), ValueError, "bits"),
    (lambda: ANY.solarize(-1), ValueError, "threshold"),
    (lambda: ANY.cutout(-1), ValueError, "size"),
    (lambda: ANY.noise(-1), ValueError, "std"),
    (lambda: ANY.mixup(-1), ValueError, "alpha"),
    (lambda: ANY.mixup(1.0)(KEY, IMAGES), ValueError, "integer labels .* need `classes`"),
    (lambda: ANY.mixup(1.0, classes=3)(KEY, IMAGES), ValueError, r"labels in \[0, 3\), found 0 to 4"),
    (lambda: ANY.mixup(1.0, classes=3)(KEY, {"x": jnp.ones((2, 3))}), ValueError, "expected 'y' in the batch"),
    (
        lambda: ANY.cutmix(1.0, classes=3)(KEY, IMAGES | {"y": jnp.ones((16, 5))}),
        ValueError,
        r"\(16, 3\) for 3 classes",
    ),
    (lambda: ANY.cutmix(1.0, classes=5)(KEY, IMAGES | {"y": IMAGES["y"][:3]}), ValueError, "y for 16 examples"),
    (lambda: ANY.cutmix(1.0, classes=2.0), TypeError, "classes"),
    (lambda: ANY.rand_augment(2, 31), ValueError, "magnitude.*from 0 to 30"),
    (lambda: ANY.rand_augment(2.0), TypeError, "n: expected an integer"),
    (lambda: ANY.time_mask(-1), ValueError, "width"),
    (lambda: ANY.time_mask(3, count=-1), ValueError, "count"),
    (lambda: ANY.frequency_mask(3)(KEY, IMAGES), ValueError, r"\(B, T, F\), found"),
    (lambda: ANY.token_mask(0.1, mask_id=50, vocabulary=50), ValueError, "mask_id"),
    (lambda: ANY.token_mask(0.1, mask_id=5, vocabulary=50)(KEY, {"x": jnp.ones((2, 3))}), TypeError, "integer tokens"),
    (lambda: ANY.token_mask(0.1, mask_id=5, vocabulary=50)(KEY, {"x": jnp.ones(3, int)}), ValueError, r"\(B, T\)"),
    (lambda: ANY.chain(ANY.flip), TypeError, r"found the factory flip; call it: flip\(\)"),
    (lambda: ANY.chain(3), TypeError, "expected an augmentation"),
    (lambda: ANY.sometimes(ANY.flip(), 2), ValueError, "probability"),
    (lambda: ANY.sometimes(ANY.token_mask(0.1, 1, 50))(KEY, TOKENS), ValueError, "adds .*'mask', 'targets', 'y'"),
    (lambda: ANY.sometimes(lambda key, batch: {"x": batch["x"][1:]})(KEY, IMAGES), ValueError, "keep its shape"),
    (lambda: ANY.test_time(3, ANY.flip()), TypeError, "expected a function of x"),
    (lambda: ANY.test_time(lambda x: x, ANY.flip(), n=0), ValueError, "n: expected an integer of 1 or more"),
    (lambda: ANY.warp(IMAGES["x"], jnp.ones((3, 2, 3))), ValueError, r"\(2, 3\) or \(16, 2, 3\), found \(3, 2, 3\)"),
    (lambda: ANY.warp(jnp.ones((2, 4, 4, 1), int), jnp.eye(2, 3)), TypeError, "floating"),
    (lambda: jax.jit(lambda s: ANY.shift(s)(KEY, IMAGES))(jnp.ones(2)), ValueError, "pixels: expected one number"),
    (lambda: ANY.flip()(KEY, IMAGES["x"]), TypeError, "expected a batch, a dict"),
    (lambda: ANY.flip()(KEY, {"x": jnp.ones((2, 4, 4, 3), jnp.uint8)}), TypeError, "floating x, found uint8"),
    (lambda: ANY.flip()(KEY, {"x": jnp.ones((4, 4, 3))}), ValueError, r"\(B, H, W, C\), found \(4, 4, 3\)"),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_a_wrong_call_names_the_argument_and_what_was_found(call, error, words):
    with pytest.raises(error, match=words):
        call()
