"""The laws, each a function whose name is its sentence."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import shapes_of
from dlcore.errors import DlcoreError
from dlcore.json_form import from_json, to_json
from dlcore.testing._draws import draws_are_functions_of_the_key, draws_need_a_key_in_training, no_key_is_used_twice
from dlcore.testing._trial import Trial, close, keys_from, plain, require, same_bits


def equal_recipes_are_one_object(trial: Trial) -> None:
    if made := trial.layer.recipe:
        again = made.factory(*made.bound.args, **made.bound.kwargs)
        require(again is trial.layer, f"{made} built again is another object")


def the_json_form_gives_the_same_object(trial: Trial) -> None:
    form = json.loads(json.dumps(to_json(trial.layer)))
    with contextlib.suppress(DlcoreError):  # functions, and factories of your own, are not looked up from disk
        require(from_json(form) is trial.layer, f"{form} gives another object")


def init_reads_only_shapes(trial: Trial) -> None:
    from_shapes = trial.layer.init(jax.random.key(0), *shapes_of(trial.xs))
    require(same_bits(from_shapes, trial.variables), "from shapes and from arrays it gives different values")


def init_gives_the_same_bits_compiled_and_mapped_over_keys(trial: Trial) -> None:
    several = jax.jit(jax.vmap(lambda key: trial.layer.init(key, *trial.xs)))(keys_from(0, 2))
    first = jax.tree.map(lambda leaf: leaf[0], several)
    require(same_bits(first, trial.variables), "the bits differ from those of one eager init")


def params_and_state_are_nested_dicts(trial: Trial) -> None:
    def check(tree: Any) -> None:
        if isinstance(tree, dict):
            for name, branch in tree.items():
                require(not isinstance(branch, dict) or branch, f"{name!r} is empty: leave it out")
                check(branch)
        else:
            require(isinstance(tree, jax.Array), f"found {type(tree).__name__} where a dict or an array is expected")

    for tree in trial.variables:
        require(isinstance(tree, dict), f"found {type(tree).__name__}, not a dict")
        check(tree)


def plan_foretells_shapes_and_dtypes(trial: Trial) -> None:
    plan = trial.layer.plan(*trial.xs)
    params, state = trial.variables
    actual = {"params": params, "state": state, "output": trial.compiled["evaluation"][0]}
    for what, tree in actual.items():
        expected, found = shapes_of(getattr(plan, what)), shapes_of(tree)
        require(expected == found, f"{what}: planned {expected}, found {found}")


def evaluation_is_deterministic(trial: Trial) -> None:
    require(same_bits(trial.apply(), trial.eager["evaluation"]), "two calls differ")


def compiled_agrees_with_eager(trial: Trial) -> None:
    require(*close(trial.compiled, trial.eager, trial.tolerance))


def state_keeps_its_structure(trial: Trial) -> None:
    before = shapes_of(trial.variables[1])
    for mode, (_, state) in trial.compiled.items():
        require(shapes_of(state) == before, f"in {mode} {before} becomes {shapes_of(state)}")


def gradients_are_finite(trial: Trial) -> None:
    leaves, tree = jax.tree.flatten(trial.xs)
    is_floating = [jnp.issubdtype(x.dtype, jnp.floating) for x in leaves]

    def loss(params: Any, floating: list[Any]) -> jax.Array:
        inputs = iter(floating)
        xs = jax.tree.unflatten(tree, [next(inputs) if f else x for x, f in zip(leaves, is_floating, strict=True)])
        y, _ = trial.layer.apply(params, trial.variables[1], *xs, key=jax.random.key(1), train=True)
        wide = [jnp.asarray(leaf, jnp.float32) for leaf in jax.tree.leaves(y)]
        return jnp.sum(jnp.stack([jnp.mean(leaf**2) for leaf in wide]))

    floating = [x for x, f in zip(leaves, is_floating, strict=True) if f]
    value, gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(trial.variables[0], floating)
    for path, leaf in jax.tree.leaves_with_path((value, gradients)):
        require(np.isfinite(plain(leaf)).all(), f"found {leaf} at {jax.tree_util.keystr(path)}")


def apply_maps_over_keys(trial: Trial) -> None:
    mapped = jax.jit(jax.vmap(lambda key: trial.apply(key, train=True)))
    if not trial.draws:
        jax.eval_shape(mapped, keys_from(1, 4))  # there is nothing to compare, and compiling takes long
        return
    several = mapped(keys_from(1, 4))
    first = jax.tree.map(lambda leaf: leaf[0], several)
    require(*close(first, trial.compiled["training"], trial.tolerance))
    differ = any((plain(leaf[1:]) != plain(leaf[:-1])).any() for leaf in jax.tree.leaves(several))
    require(differ, "four keys give one result")


def outputs_keep_the_floating_type(trial: Trial) -> None:
    floating = {x.dtype for x in jax.tree.leaves(trial.xs) if jnp.issubdtype(x.dtype, jnp.floating)}
    expected = floating | {np.dtype("float32")}
    for mode, (y, _) in trial.compiled.items():
        found = {leaf.dtype for leaf in jax.tree.leaves(y) if jnp.issubdtype(leaf.dtype, jnp.floating)}
        require(found <= expected, f"in {mode} found {found - expected}")


LAWS_OF_DTYPES: tuple[Callable[[Trial], None], ...] = (
    plan_foretells_shapes_and_dtypes,
    state_keeps_its_structure,
    outputs_keep_the_floating_type,
)

LAWS: tuple[Callable[[Trial], None], ...] = (
    equal_recipes_are_one_object,
    the_json_form_gives_the_same_object,
    params_and_state_are_nested_dicts,
    init_reads_only_shapes,
    init_gives_the_same_bits_compiled_and_mapped_over_keys,
    evaluation_is_deterministic,
    compiled_agrees_with_eager,
    gradients_are_finite,
    apply_maps_over_keys,
    draws_need_a_key_in_training,
    draws_are_functions_of_the_key,
    no_key_is_used_twice,
    *LAWS_OF_DTYPES,
)
