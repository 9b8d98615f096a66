"""Learning curves hold what was measured, for one lane and for many."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.report import curves

STEPS = 240
METRICS = {
    "loss": np.linspace(2.0, 1.0, STEPS),
    "accuracy": np.linspace(0.0, 1.0, STEPS),
    "validation_step": np.array([80, 160, 240]),
    "validation_loss": np.array([2.5, 2.0, 1.5]),
    "test_loss": np.array(1.7),
    "norm_step": np.array([240]),
    "gradient_norm": np.array([1.0]),
    "update_norm": np.array([1.0]),
    "params_norm": np.array([1.0]),
    "learning_rate": np.full(STEPS, 0.1),
}


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_there_is_a_panel_for_every_metric_that_was_measured_at_every_step():
    figure = curves(METRICS, title="a run")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    assert figure.get_suptitle() == "a run"


def test_training_is_drawn_as_means_over_equal_windows():
    drawn = lines(curves(METRICS).axes[0])["train"]
    np.testing.assert_array_equal(drawn.get_xdata(), np.arange(4, STEPS + 1, 4))
    np.testing.assert_allclose(drawn.get_ydata(), METRICS["loss"].reshape(60, 4).mean(1))


def test_a_short_run_is_drawn_step_by_step():
    drawn = lines(curves({"loss": np.array([3.0, 2.0, 1.0])}).axes[0])["train"]
    np.testing.assert_array_equal(drawn.get_ydata(), [3, 2, 1])
    np.testing.assert_array_equal(drawn.get_xdata(), [1, 2, 3])


def test_validation_is_drawn_where_it_was_measured_and_test_as_a_line():
    drawn = lines(curves(METRICS).axes[0])
    np.testing.assert_array_equal(drawn["validation"].get_xdata(), METRICS["validation_step"])
    np.testing.assert_array_equal(drawn["validation"].get_ydata(), METRICS["validation_loss"])
    np.testing.assert_array_equal(drawn["test 1.7"].get_ydata(), [1.7, 1.7])
    assert set(lines(curves(METRICS).axes[1])) == {"train"}


def test_lanes_are_drawn_as_a_mean_with_a_band_of_one_deviation():
    rows = np.random.default_rng(0).normal(3, 0.1, (4, 30))
    axes = curves({"loss": rows}).axes[0]
    np.testing.assert_allclose(lines(axes)["train"].get_ydata(), rows.mean(0))
    band = axes.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(band[:, 1].max(), (rows.mean(0) + rows.std(0, ddof=1)).max())
    np.testing.assert_allclose(band[:, 1].min(), (rows.mean(0) - rows.std(0, ddof=1)).min())


@pytest.mark.parametrize("missing", [slice(3, None), slice(0, None)], ids=["stopped early", "nothing"])
def test_lanes_that_stopped_leave_no_warning(missing):
    rows = np.ones((3, 8))
    rows[1, missing] = np.nan
    assert len(lines(curves({"loss": rows}).axes[0])) == 1


def test_a_loss_that_is_positive_has_a_logarithmic_axis():
    assert curves(METRICS).axes[0].get_yscale() == "log"
    assert curves({"loss": np.array([1.0, -1.0])}).axes[0].get_yscale() == "linear"


def test_metrics_are_picked_by_name():
    assert [axes.get_title() for axes in curves(METRICS, names=("learning_rate",)).axes] == ["learning rate"]


@pytest.mark.parametrize("metrics", [{}, {"learning_rate": np.ones(3)}])
def test_nothing_to_draw_is_an_error(metrics):
    with pytest.raises(ValueError, match="no metric to draw"):
        curves(metrics)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_run_of_no_step_and_of_one_can_be_drawn_and_saved(steps, tmp_path):
    curves({"loss": np.ones(steps)}).savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_shows_itself_in_a_notebook():
    assert curves(METRICS)._repr_png_().startswith(b"\x89PNG")
