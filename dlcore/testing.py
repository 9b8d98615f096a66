"""The laws of layers, for ours and for yours: `check_layer(my_layer(), x)` in a test says which one is broken."""

import contextlib
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from dlcore.checks import shapes_of
from dlcore.core import Layer
from dlcore.errors import DlcoreError
from dlcore.json_form import from_json, to_json

__all__ = ["check_layer"]


def check_layer(
    layer: Layer, *xs: Any, dtypes: Sequence[str] = ("float32", "bfloat16"), tolerance: float = 1e-5
) -> None:
    """Checks that a layer keeps the laws that everything else builds on.

    - Equal recipes are one object, and so is what the JSON form gives back (where all of it is dlcore's).
    - `init` reads only shapes and dtypes; compiled and eager it gives the same bits; it maps over keys.
    - Params and state are nested dicts of arrays, without empty branches; `plan` foretells every shape and dtype.
    - Evaluation is deterministic; `apply` compiled agrees with eager, and maps over keys.
    - State keeps its tree, shapes and dtypes; gradients are finite.
    - What draws raises in training without a key, is a function of its key, and uses no key twice.
    - All of this in each of `dtypes`: outputs have the type of the inputs, or float32.

    Args:
      layer: the layer; small sizes do.
      *xs: its inputs, as arrays (or None); floating ones are cast to each of `dtypes` in turn.
      dtypes: the floating types to try, of "float32", "bfloat16", "float16" and "float64".
      tolerance: largest difference, relative to the largest value, of compiled from eager float32 results, where sums
        are taken in another order. Bits are compared only where they are promised.

    Raises:
      AssertionError: names the layer and the law that is broken.

    Example:
      >>> from dlcore.layers import dense, dropout, serial
      >>> check_layer(serial(dense(8), dropout(0.5)), jnp.ones((2, 3)))
    """
    for dtype in dtypes:
        with jax.enable_x64(dtype == "float64" or jnp.asarray(0.0).dtype == "float64"):
            trial = _Trial(layer, _cast(xs, dtype), tolerance if dtype in ("float32", "float64") else 0.1)
            for law in _LAWS if dtype == dtypes[0] else _LAWS_OF_DTYPES:
                words = law.__name__.strip("_").replace("_", " ")
                try:
                    law(trial)
                except _Broken as broken:
                    raise AssertionError(f"{layer} breaks the law '{words}' in {dtype}: {broken}") from None
                except Exception as error:
                    found = f"{type(error).__name__}: {error}"
                    raise AssertionError(f"{layer} breaks the law '{words}' in {dtype}: it raised {found}") from error


class _Broken(Exception):
    pass


def _require(holds: Any, found: str) -> None:
    if not holds:
        raise _Broken(found)


class _Trial:
    """A layer at work on some inputs; what several laws look at is computed once."""

    def __init__(self, layer: Layer, xs: tuple[Any, ...], tolerance: float):
        self.layer, self.xs, self.tolerance = layer, xs, tolerance

    @functools.cached_property
    def variables(self) -> tuple[Any, Any]:
        return self.layer.init(jax.random.key(0), *self.xs)

    def apply(self, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return self.layer.apply(*self.variables, *self.xs, key=key, train=train)

    @functools.cached_property
    def eager(self) -> dict[str, Any]:
        return _every_way(self.layer, *self.variables, jax.random.key(1), self.xs)

    @functools.cached_property
    def compiled(self) -> dict[str, Any]:
        return jax.jit(functools.partial(_every_way, self.layer))(*self.variables, jax.random.key(1), self.xs)

    @functools.cached_property
    def draws(self) -> bool:
        return "random_bits" in str(jax.make_jaxpr(lambda key: self.apply(key, train=True))(jax.random.key(0)))


def _every_way(layer: Layer, params: Any, state: Any, key: Any, xs: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "evaluation": layer.apply(params, state, *xs),
        "training": layer.apply(params, state, *xs, key=key, train=True),
    }


# --- recipes -------------------------------------------------------------------------------------------------------


def _equal_recipes_are_one_object(trial: _Trial) -> None:
    if made := trial.layer.recipe:
        again = made.factory(*made.bound.args, **made.bound.kwargs)
        _require(again is trial.layer, f"{made} built again is another object")


def _the_json_form_gives_the_same_object(trial: _Trial) -> None:
    form = json.loads(json.dumps(to_json(trial.layer)))
    with contextlib.suppress(DlcoreError):  # functions, and factories of your own, are not looked up from disk
        _require(from_json(form) is trial.layer, f"{form} gives another object")


# --- init ----------------------------------------------------------------------------------------------------------


def _init_reads_only_shapes(trial: _Trial) -> None:
    from_shapes = trial.layer.init(jax.random.key(0), *shapes_of(trial.xs))
    _require(_same_bits(from_shapes, trial.variables), "from shapes and from arrays it gives different values")


def _init_gives_the_same_bits_compiled_and_mapped_over_keys(trial: _Trial) -> None:
    several = jax.jit(jax.vmap(lambda key: trial.layer.init(key, *trial.xs)))(_keys(0, 2))
    first = jax.tree.map(lambda leaf: leaf[0], several)
    _require(_same_bits(first, trial.variables), "the bits differ from those of one eager init")


def _params_and_state_are_nested_dicts(trial: _Trial) -> None:
    def check(tree: Any) -> None:
        if isinstance(tree, dict):
            for name, branch in tree.items():
                _require(not isinstance(branch, dict) or branch, f"{name!r} is empty: leave it out")
                check(branch)
        else:
            _require(isinstance(tree, jax.Array), f"found {type(tree).__name__} where a dict or an array is expected")

    for tree in trial.variables:
        _require(isinstance(tree, dict), f"found {type(tree).__name__}, not a dict")
        check(tree)


def _plan_foretells_shapes_and_dtypes(trial: _Trial) -> None:
    plan = trial.layer.plan(*trial.xs)
    params, state = trial.variables
    actual = {"params": params, "state": state, "output": trial.compiled["evaluation"][0]}
    for what, tree in actual.items():
        expected, found = shapes_of(getattr(plan, what)), shapes_of(tree)
        _require(expected == found, f"{what}: planned {expected}, found {found}")


# --- apply ---------------------------------------------------------------------------------------------------------


def _evaluation_is_deterministic(trial: _Trial) -> None:
    _require(_same_bits(trial.apply(), trial.eager["evaluation"]), "two calls differ")


def _compiled_agrees_with_eager(trial: _Trial) -> None:
    _require(*_close(trial.compiled, trial.eager, trial.tolerance))


def _state_keeps_its_structure(trial: _Trial) -> None:
    before = shapes_of(trial.variables[1])
    for mode, (_, state) in trial.compiled.items():
        _require(shapes_of(state) == before, f"in {mode} {before} becomes {shapes_of(state)}")


def _gradients_are_finite(trial: _Trial) -> None:
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
        _require(np.isfinite(_plain(leaf)).all(), f"found {leaf} at {jax.tree_util.keystr(path)}")


def _apply_maps_over_keys(trial: _Trial) -> None:
    mapped = jax.jit(jax.vmap(lambda key: trial.apply(key, train=True)))
    if not trial.draws:
        jax.eval_shape(mapped, _keys(1, 4))  # there is nothing to compare, and compiling takes long
        return
    several = mapped(_keys(1, 4))
    first = jax.tree.map(lambda leaf: leaf[0], several)
    _require(*_close(first, trial.compiled["training"], trial.tolerance))
    differ = any((_plain(leaf[1:]) != _plain(leaf[:-1])).any() for leaf in jax.tree.leaves(several))
    _require(differ, "four keys give one result")


# --- keys ----------------------------------------------------------------------------------------------------------


def _draws_need_a_key_in_training(trial: _Trial) -> None:
    try:
        jax.eval_shape(lambda: trial.apply(train=True))
    except ValueError as error:
        _require(trial.draws, f"it draws nothing, and yet without a key it raised {error}")
    else:
        _require(not trial.draws, "it draws, and yet does without a key: raise a ValueError")


def _draws_are_functions_of_the_key(trial: _Trial) -> None:
    if trial.draws:
        again = trial.apply(jax.random.key(1), train=True)
        _require(_same_bits(again, trial.eager["training"]), "one key gives two results")
    jax.eval_shape(trial.apply, jax.random.key(1))  # a key without training is allowed: Monte-Carlo dropout


def _no_key_is_used_twice(trial: _Trial) -> None:
    params, state = trial.variables
    programs = {
        # Nothing is returned, so that little more than the draws is compiled.
        "init": lambda key: (trial.layer.init(key, *trial.xs), None)[1],
        "apply": lambda key: (trial.layer.apply(params, state, *trial.xs, key=key, train=True), None)[1],
    }
    for what, program in programs.items():
        if "random_" not in str(jax.make_jaxpr(program)(jax.random.key(0))):
            continue
        with jax.debug_key_reuse(True):
            jax.jit(program)(jax.random.key(0))  # it sees a key drawn from and split, but not two equal `fold_in`s
        drawn = np.asarray(jax.jit(functools.partial(_keys_of_draws, program))(jax.random.key(0)))
        twice = len(drawn) - len(np.unique(drawn, axis=0))
        _require(not twice, f"in {what} {twice} of {len(drawn)} draws have the key of another")


def _keys_of_draws(program: Callable[[Any], Any], key: Any) -> Any:
    """Returns the data of the keys of all draws of `program(key)`, (draws, 2); compiled, nothing else is run."""
    jaxpr = jax.make_jaxpr(program)(key)
    return jnp.concatenate([jnp.zeros((0, 2), jnp.uint32), *_run(jaxpr, [key])[1]])


def _run(program: Any, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Evaluates a jaxpr, and returns its results and the data of the keys that were drawn from."""
    jaxpr, constants = (program.jaxpr, program.consts) if hasattr(program, "consts") else (program, [])
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *values], strict=True))
    drawn: list[Any] = []

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, jax.extend.core.Literal) else known[variable]

    for equation in jaxpr.eqns:
        inputs = [read(variable) for variable in equation.invars]
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if equation.primitive.name == "random_bits":
            drawn.append(jax.random.key_data(inputs[0]).reshape(-1, 2))
        if equation.primitive.name == "scan":
            outputs, keys = _run_scan(equation.params, inputs)
        elif inner is not None:  # a call: jit, remat, a function with a gradient of its own
            outputs, keys = _run(inner, inputs)
        else:
            result = equation.primitive.bind(*inputs, **equation.params)
            outputs, keys = result if equation.primitive.multiple_results else [result], []
        known.update(zip(equation.outvars, outputs, strict=True))
        drawn += keys
    return [read(variable) for variable in jaxpr.outvars], drawn


def _run_scan(params: dict[str, Any], inputs: list[Any]) -> tuple[list[Any], list[Any]]:
    constants, rest = inputs[: params["num_consts"]], inputs[params["num_consts"] :]
    n = params["num_carry"]

    def step(carry: list[Any], xs: list[Any]) -> Any:
        outputs, drawn = _run(params["jaxpr"], [*constants, *carry, *xs])
        return outputs[:n], (outputs[n:], drawn)

    carry, (ys, drawn) = jax.lax.scan(step, rest[:n], rest[n:], params["length"], params["reverse"])
    return [*carry, *ys], [keys.reshape(-1, 2) for keys in drawn]


# --- dtypes --------------------------------------------------------------------------------------------------------


def _outputs_keep_the_floating_type(trial: _Trial) -> None:
    floating = {x.dtype for x in jax.tree.leaves(trial.xs) if jnp.issubdtype(x.dtype, jnp.floating)}
    expected = floating | {np.dtype("float32")}
    for mode, (y, _) in trial.compiled.items():
        found = {leaf.dtype for leaf in jax.tree.leaves(y) if jnp.issubdtype(leaf.dtype, jnp.floating)}
        _require(found <= expected, f"in {mode} found {found - expected}")


_LAWS_OF_DTYPES: tuple[Callable[[_Trial], None], ...] = (
    _plan_foretells_shapes_and_dtypes,
    _state_keeps_its_structure,
    _outputs_keep_the_floating_type,
)

_LAWS: tuple[Callable[[_Trial], None], ...] = (
    _equal_recipes_are_one_object,
    _the_json_form_gives_the_same_object,
    _params_and_state_are_nested_dicts,
    _init_reads_only_shapes,
    _init_gives_the_same_bits_compiled_and_mapped_over_keys,
    _evaluation_is_deterministic,
    _compiled_agrees_with_eager,
    _gradients_are_finite,
    _apply_maps_over_keys,
    _draws_need_a_key_in_training,
    _draws_are_functions_of_the_key,
    _no_key_is_used_twice,
    *_LAWS_OF_DTYPES,
)


def _cast(xs: Any, dtype: str) -> Any:
    def cast(x: Any) -> jax.Array:
        x = jnp.asarray(x)
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(cast, xs)


def _keys(first: int, n: int) -> jax.Array:
    return jax.vmap(jax.random.key)(jnp.arange(first, first + n))


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def _same_bits(a: Any, b: Any) -> bool:
    same = jax.tree.structure(a) == jax.tree.structure(b)
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True) if same else ()
    return same and all(x.dtype == y.dtype and _plain(x).tobytes() == _plain(y).tobytes() for x, y in pairs)


def _close(found: Any, expected: Any, tolerance: float) -> tuple[bool, str]:
    if jax.tree.structure(found) != jax.tree.structure(expected):
        return False, f"found {jax.tree.structure(found)}, expected {jax.tree.structure(expected)}"
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        x, y = _plain(x).astype(np.float64), _plain(y).astype(np.float64)
        far = np.abs(x - y).max(initial=0) if x.shape == y.shape else np.inf
        if not far <= tolerance * max(1.0, np.abs(y).max(initial=0)):
            return False, f"results differ by {far:.2g}, more than the tolerance of {tolerance}"
    return True, ""
