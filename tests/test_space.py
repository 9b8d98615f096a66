"""Spaces of hyperparameters: what a person writes, and the points that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from dlcore import space


def test_a_grid_is_every_combination_in_order():
    found = space.points({"a": [1, 2], "b": ("x", "y")})
    assert found == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_every_draw_is_made_at_every_point_of_the_grid():
    found = space.points({"rate": space.log_uniform(1e-4, 1e-1), "width": [8, 16]}, samples=3, key=1)
    assert len(found) == 6 and [list(point) for point in found] == [["rate", "width"]] * 6
    rates = [point["rate"] for point in found]
    assert rates[0::2] == rates[1::2] and len(set(rates)) == 3
    assert found == space.points({"rate": space.log_uniform(1e-4, 1e-1), "width": [8, 16]}, samples=3, key=1)
    assert found != space.points({"rate": space.log_uniform(1e-4, 1e-1), "width": [8, 16]}, samples=3, key=2)


def test_draws_have_their_distributions():
    generator = np.random.default_rng(0)
    even, log = space.uniform(2.0, 5.0), space.log_uniform(1e-4, 1e-1)
    draws = np.array([(even.draw(generator), np.log10(log.draw(generator))) for _ in range(2000)])
    assert scipy.stats.kstest(draws[:, 0], "uniform", (2, 3)).pvalue > 0.01
    assert scipy.stats.kstest(draws[:, 1], "uniform", (-4, 3)).pvalue > 0.01
    options = [space.choice("a", "b").draw(generator) for _ in range(1000)]
    assert 400 < options.count("a") < 600


def test_an_axis_with_floating_numbers_is_floating_throughout():
    assert [type(point["a"]) for point in space.points({"a": [0, 0.5]})] == [float, float]
    assert [type(point["a"]) for point in space.points({"a": np.array([1, 2])})] == [int, int]
    assert [type(point["a"]) for point in space.points({"a": np.array([1, 2], np.float32)})] == [float, float]


def test_a_list_of_points_is_taken_as_it_is():
    listed = [{"a": 1, "b": 2.0}, {"a": 3, "b": 4.0}]
    assert space.points(listed) == listed


@pytest.mark.parametrize(
    ("given", "options", "error", "words"),
    [
        ({}, {}, ValueError, "space: expected one or more names, found none"),
        ({"a": []}, {}, ValueError, r"space\['a'\]: expected one or more values"),
        ({"a": 1.0}, {}, TypeError, r"space\['a'\]: expected a list of values or a distribution, found 1.0"),
        ({"a": "relu"}, {}, TypeError, r"space\['a'\]: expected a list"),
        ({"a": [1.0, 1.0]}, {}, ValueError, "a value is there twice"),
        ({"a": [1.0]}, {"samples": 3}, ValueError, "samples: only distributions are drawn from"),
        ({"a": space.uniform(0, 1)}, {}, ValueError, "samples: say how many draws"),
        ({"a": space.uniform(0, 1)}, {"samples": 0}, ValueError, "samples: expected a positive whole number, found 0"),
        ([{"a": 1}, {"b": 1}], {}, ValueError, "points with the same names"),
        ([], {}, ValueError, "points with the same names"),
        (3, {}, TypeError, "space: expected values by name, or a list of points, found 3"),
    ],
)
def test_what_is_no_space_is_refused(given, options, error, words):
    with pytest.raises(error, match=words):
        space.points(given, **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: space.uniform(1, 1), "uniform: expected low < high, found 1 and 1"),
        (lambda: space.log_uniform(0.0, 1), "log_uniform: expected low above 0"),
        (lambda: space.log_uniform(float("nan"), 1), "log_uniform: expected low < high"),
        (lambda: space.choice(), "choice: expected values to choose from"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_distributions_are_values():
    assert repr(space.log_uniform(1e-4, 0.1)) == "log_uniform(0.0001, 0.1)"
    assert space.uniform(0, 1) is space.uniform(low=0, high=1)
