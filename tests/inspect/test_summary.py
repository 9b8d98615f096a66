import html.parser

import jax
import jax.numpy as jnp
import pytest

from dlcore.compose import compose
from dlcore.inspect import flops, summary
from dlcore.layers import (
    batch_norm,
    cast,
    conv,
    dense,
    flatten,
    frozen,
    recurrent,
    relu,
    repeat,
    residual,
    rnn_cell,
    serial,
)

image = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
flat = jax.ShapeDtypeStruct((4, 8), jnp.float32)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def by_path(layer, *xs):
    return {row.path: row for row in summary(layer, *xs).rows}


def test_rows_give_recipe_shape_parameters_state_and_operations():
    rows = by_path(serial(conv(6, 3), norm=batch_norm(), act=relu(), flat=flatten(), head=dense(10)), image)
    assert list(rows) == ["", "0", "norm", "act", "flat", "head"]
    assert rows["0"].recipe == "conv(6, 3)"
    assert rows["0"].output.shape == (2, 8, 8, 6)
    assert (rows["0"].parameters, rows["0"].state) == (3 * 3 * 3 * 6 + 6, 0)
    assert (rows["norm"].parameters, rows["norm"].state) == (12, 12)
    assert rows["0"].flops == 2 * (2 * 8 * 8 * 6) * 27 + 2 * 8 * 8 * 6
    assert rows["head"].flops == 2 * 2 * (8 * 8 * 6) * 10 + 2 * 10
    assert rows["act"].flops == 2 * 8 * 8 * 6
    assert rows["flat"].flops == 0


def test_totals_are_those_of_the_whole_model():
    model = serial(conv(6, 3), batch_norm(), relu(), repeat(5, residual(conv(6, 3))), flatten(), dense(10))
    table = summary(model, image)
    params, state = jax.eval_shape(model.init, jax.random.key(0), image)
    assert table.parameters == size(params)
    assert table.state == size(state)
    assert table.flops == flops(lambda *args: model.apply(*args)[0], params, state, image)


def test_rows_without_children_add_up_to_the_totals():
    model = serial(conv(6, 3), batch_norm(), relu(), repeat(5, serial(conv(6, 3), batch_norm())), flatten(), dense(10))
    table = summary(model, image)
    paths = [row.path for row in table.rows]
    leaves = [row for row in table.rows if not any(path.startswith(row.path + "/") for path in paths) and row.path]
    assert sum(row.parameters for row in leaves) == table.parameters
    assert sum(row.state for row in leaves) == table.state
    assert sum(row.flops for row in leaves) == table.flops


def test_repeated_block_has_the_numbers_of_all_its_runs():
    rows = by_path(serial(blocks=repeat(5, residual(dense(8)))), flat)
    assert rows["blocks/*/block"].parameters == rows["blocks"].parameters == 5 * 72
    assert rows["blocks/*/block"].flops == 5 * (2 * 4 * 8 * 8 + 4 * 8)
    assert rows["blocks/*"].count == 5


def test_repeats_within_repeats_multiply():
    rows = by_path(repeat(3, serial(inner=repeat(2, dense(8)))), flat)
    assert rows["*/inner/*"].parameters == rows[""].parameters == 6 * 72
    assert rows["*/inner/*"].count == 6
    assert rows["*/inner/*"].flops == rows[""].flops == 6 * (2 * 4 * 8 * 8 + 4 * 8)


def test_recurrent_cell_shares_its_parameters_over_time():
    rows = by_path(recurrent(rnn_cell(3)), jax.ShapeDtypeStruct((2, 7, 5), jnp.float32))
    assert rows["*"].parameters == rows[""].parameters == 5 * 3 + 3 * 3 + 3
    assert rows["*"].flops == rows[""].flops == 7 * 2 * (2 * 5 * 3 + 2 * 3 * 3 + 3 * 3)


def test_child_called_twice_has_its_parameters_once_and_its_operations_twice():
    model = compose(lambda call, x: call.shared(call.shared(x)), shared=dense(8))
    rows = by_path(model, flat)
    assert rows["shared"].parameters == rows[""].parameters == 72
    assert rows["shared"].flops == rows[""].flops == 2 * (2 * 4 * 8 * 8 + 4 * 8)


def test_operations_of_a_combinators_own_count_in_its_row():
    rows = by_path(residual(dense(8)), flat)
    assert rows[""].flops == rows["block"].flops + 4 * 8


def test_frozen_and_cast_models_are_seen_through_as_far_as_their_params_are():
    rows = by_path(serial(backbone=frozen(dense(8)), head=cast(serial(dense(2)), jnp.bfloat16)), flat)
    assert (rows["backbone"].parameters, rows["backbone"].state) == (0, 72)
    assert rows["backbone"].flops == 2 * 4 * 8 * 8 + 4 * 8
    assert rows["head/0"].parameters == 18


def test_leaf_is_a_table_of_one_row():
    table = summary(dense(3), flat)
    assert [row.path for row in table.rows] == [""]
    assert table.parameters == 27


def test_text_has_aligned_columns_and_a_row_of_totals():
    lines = str(summary(serial(conv(64, 3), relu(), flatten(), head=dense(1000)), image)).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["layer", "recipe", "output", "parameters", "state", "FLOPs"]
    assert lines[-1].split() == ["total", "(2,", "1000)", "4,098,792", "0", "16.84", "M"]


def test_text_shortens_long_recipes_to_a_hundred_columns():
    block = serial(dense(8), relu(), inner=serial(first=residual(dense(8)), second=residual(serial(dense(8), relu()))))
    text = str(summary(serial(a_name_that_does_not_want_to_end=repeat(3, block), other=block), flat))
    assert "…" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_text_indents_children_below_their_combinator():
    lines = str(summary(serial(block=residual(serial(dense(8)))), flat)).splitlines()
    starts = [
        line[: line.index(name)].rstrip() for line, name in zip(lines[2:5], ("resid", "serial", "dense"), strict=True)
    ]
    assert starts == ["block", "  block", "    0"]


def test_notebook_form_is_well_formed_and_escaped():
    class Balance(html.parser.HTMLParser):
        depth, cells = 0, 0

        def handle_starttag(self, tag, attrs):
            self.depth, self.cells = self.depth + 1, self.cells + (tag in ("td", "th"))

        def handle_endtag(self, tag):
            self.depth -= 1

    text = summary(serial(dense(8), lambda x: x + 1), flat)._repr_html_()
    balance = Balance()
    balance.feed(text)
    assert (balance.depth, balance.cells) == (0, 6 * 4)
    assert "&lt;lambda&gt;" in text


def test_summary_of_what_is_no_layer_is_an_error():
    with pytest.raises(TypeError, match="layer: expected a layer"):
        summary(dense, flat)  # pyright: ignore[reportArgumentType]


def test_input_that_does_not_fit_is_an_error_that_names_the_layer():
    with pytest.raises(TypeError) as caught:
        summary(serial(block=serial(dense(3))), jax.ShapeDtypeStruct((4, 8), jnp.int32))
    assert any("in layer block/0" in note for note in caught.value.__notes__)
