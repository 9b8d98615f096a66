"""The laws of keys: what draws needs one, is a function of it, and uses none twice."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from dlcore.testing._trial import Trial, require, same_bits


def draws_need_a_key_in_training(trial: Trial) -> None:
    try:
        jax.eval_shape(lambda: trial.apply(train=True))
    except ValueError as error:
        require(trial.draws, f"it draws nothing, and yet without a key it raised {error}")
    else:
        require(not trial.draws, "it draws, and yet does without a key: raise a ValueError")


def draws_are_functions_of_the_key(trial: Trial) -> None:
    if trial.draws:
        again = trial.apply(jax.random.key(1), train=True)
        require(same_bits(again, trial.eager["training"]), "one key gives two results")
    jax.eval_shape(trial.apply, jax.random.key(1))  # a key without training is allowed: Monte-Carlo dropout


def no_key_is_used_twice(trial: Trial) -> None:
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
        require(not twice, f"in {what} {twice} of {len(drawn)} draws have the key of another")


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
