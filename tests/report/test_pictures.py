"""Bands, differences, axes, heat maps and confusion: what is drawn is what was measured."""

import io

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from dlcore import report

ROWS = [
    {"rate": rate, "width": width, "name": f"n{width}", "loss": rate * 10 + width + seed, "seed": seed}
    for rate in (0.1, 0.001, 0.01)
    for width in (8, 4)
    for seed in range(3)
]


def saved(figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=50)
    return picture.getvalue()


def test_a_band_is_the_mean_and_student_s_interval():
    rows = np.random.default_rng(0).normal(size=(5, 4))
    axes = report.bands({"a": (np.arange(4), rows)}, ylabel="accuracy").axes[0]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), rows.mean(0))
    low, high = stats.t.interval(0.95, 4, rows.mean(0), stats.sem(rows))
    corners = axes.collections[0].get_paths()[0].vertices
    assert np.isclose(corners[:, 1].min(), low.min()) and np.isclose(corners[:, 1].max(), high.max())


def test_a_lone_curve_has_no_band_and_a_gap_is_left_out():
    axes = report.bands({"a": ([1, 2, 3], [[1.0, np.nan, 0.5]])}, ylabel="loss").axes[0]
    assert axes.get_lines()[0].get_xdata().tolist() == [1, 3] and not axes.collections


def test_losses_are_drawn_on_a_logarithmic_scale_and_accuracies_are_not():
    scale = lambda name: report.bands({"a": ([1, 2], [[1.0, 0.5]])}, ylabel=name).axes[0].get_yscale()
    assert (scale("validation loss"), scale("accuracy")) == ("log", "linear")


def test_thirty_groups_can_be_drawn():
    assert saved(report.bands({str(i): ([1, 2], [[1.0, i + 1.0]]) for i in range(30)}, ylabel="loss"))


@pytest.mark.parametrize("count", [3, 16, 50])
def test_long_names_leave_room_for_the_curves(count):
    groups = {f"{i} " + "long " * 20: ([1, 2], [[1.0, 0.5]]) for i in range(count)}
    figure = report.bands(groups, ylabel="loss")
    saved(figure)  # where nothing is left, matplotlib warns, and warnings are errors here
    inches = figure.axes[0].get_window_extent().width / figure.dpi
    assert inches > 2.5


def test_a_difference_is_b_minus_a():
    a, b = np.ones((4, 3)), np.ones((4, 3)) + np.arange(4)[:, None]
    upper, lower = report.difference([1, 2, 3], a, b, names=("before", "after"), at=2).axes
    assert lower.get_lines()[0].get_ydata().tolist() == [1.5] * 3 and lower.get_ylabel() == "after - before"
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["before", "after"]


def test_against_an_axis_every_row_is_a_point_and_the_mean_a_line():
    axes = report.against(ROWS, "rate", "loss").axes[0]
    assert axes.get_xscale() == "log"
    points = sum(line.get_xdata().size for line in axes.get_lines() if line.get_linestyle() == "None")
    assert points >= len(ROWS)
    middle = next(line for line in axes.get_lines() if line.get_linestyle() == "-")
    assert middle.get_xdata().tolist() == [0.001, 0.01, 0.1]
    np.testing.assert_allclose(middle.get_ydata(), [7.01, 7.1, 8.0])


def test_against_texts_each_has_its_place():
    axes = report.against(ROWS, "name", "loss").axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["n8", "n4"]


def test_a_heat_map_holds_the_means_in_the_order_of_the_numbers():
    axes = report.heatmap(ROWS, "rate", "width", "loss").axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[5.01, 5.1, 6.0], [9.01, 9.1, 10.0]])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["4", "8"]


def test_a_cell_without_a_run_stays_empty():
    rows = [row for row in ROWS if (row["rate"], row["width"]) != (0.1, 8)]
    shown = report.heatmap(rows, "rate", "width", "loss").axes[0].images[0].get_array()
    assert shown.mask.sum() == 1 and shown.mask[1, 2]


def test_the_confusion_matrix_is_scikit_learn_s():
    generator = np.random.default_rng(0)
    labels, guesses = generator.integers(0, 4, 50), generator.integers(0, 3, 50)
    ours = report.confusion_matrix(labels, guesses, 4)
    np.testing.assert_array_equal(ours, metrics.confusion_matrix(labels, guesses, labels=range(4)))
    shown = report.confusion(ours, ("a", "b", "c", "d")).axes[0]
    assert sum(int(text.get_text()) for text in shown.texts) == 50


def test_the_worst_are_the_wrong_ones_and_among_them_those_of_the_largest_loss():
    assert report.worst([5.0, 1.0, 2.0, 0.1], [0, 1, 1, 0], [0, 0, 0, 0]).tolist() == [2, 1, 0, 3]


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 8, 1), (30, 4, 4, 3), (1, 1, 1, 1)])
def test_a_gallery_draws_pictures(shape):
    figure = report.gallery(np.random.default_rng(0).normal(size=shape), [str(i) for i in range(shape[0])])
    assert sum(bool(axes.images) for axes in figure.axes) == min(shape[0], 24) and saved(figure)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: report.bands({"a": ([1], [[np.nan]])}, ylabel="loss"), "there is no finite loss to draw"),
        (lambda: report.difference([1, 2], [1.0], [1.0]), "expected curves over 2 steps"),
        (lambda: report.difference([1], [np.nan], [1.0]), "nothing finite"),
        (lambda: report.against(ROWS, "rates", "loss"), "there is no column 'rates'; did you mean 'rate'"),
        (lambda: report.against([], "rate", "loss"), "there are no rows"),
        (lambda: report.heatmap([{"a": 1, "b": 2, "c": np.nan}], "a", "b", "c"), "there is no finite c to draw"),
        (lambda: report.confusion_matrix([0, 1], [0], 2), "expected lists of one length"),
        (lambda: report.confusion_matrix([0, 2], [0, 1], 2), "labels: expected whole numbers from 0 to 1, found 0, 2"),
        (lambda: report.confusion_matrix([0, 1], [0, -1], 2), "predictions: expected whole numbers"),
        (lambda: report.gallery(np.zeros((2, 8)), ["a", "b"]), "expected pictures"),
        (lambda: report.gallery(np.zeros((2, 8, 8)), ["a"]), "N captions"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()
