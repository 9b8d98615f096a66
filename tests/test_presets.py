"""Presets name things that exist."""

import jax
import pytest

from dlcore import data, presets


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_names_data_and_an_optimizer_that_exist_and_a_model_that_fits(name):
    chosen = presets.preset(name)
    dataset = data.load(chosen.data)
    output = chosen.model().plan(dataset.train["x"][:2]).output
    assert output.shape == (2, len(dataset.classes) or 1)
    assert repr(presets.make_optimizer(chosen.optimizer, chosen.learning_rate)).startswith(chosen.optimizer)


def test_the_default_preset_is_lenet5_on_resized_digits():
    plan = presets.preset("lenet5").model().plan(jax.ShapeDtypeStruct((1, 8, 8, 1), "float32"))
    assert plan.children["resize"].output.shape == (1, 28, 28, 1)
    assert sum(leaf.size for leaf in jax.tree.leaves(plan.params)) == 61_706  # 156 + 2,416 + 48,120 + 10,164 + 850


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: presets.preset("lenet"), ("'lenet'", "did you mean 'lenet5'?")),
        (lambda: presets.preset("resnet999"), ("'resnet999'", "known names")),
        (lambda: presets.make_optimizer("adm", 1e-3), ("'adm'", "did you mean 'adam'?")),
        (lambda: presets.make_optimizer("adam", -1.0), ("learning_rate", "-1.0")),
        (lambda: data.load("digit"), ("'digit'", "did you mean 'digits'?")),
    ],
)
def test_a_name_that_is_not_there_gets_a_suggestion(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("name", ["prelu", "maxout", "glu", "rely"])
def test_activations_that_do_not_go_element_by_element_are_not_offered(name: str):
    with pytest.raises(ValueError, match=f"activation: there is no '{name}'"):
        presets.preset("mlp").model(activation=name)
