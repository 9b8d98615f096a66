"""A sweep is many lone runs in few programs, and a table that says what came out."""

from __future__ import annotations

import csv
import html.parser
import json
import os
import signal
from typing import Any

import jax
import numpy as np
import pytest

import dlcore as dl
from dlcore.train import _fleet, _progress
from dlcore.train._memory import lanes_that_fit
from tests.compiles import counting
from tests.train.test_resume import Killed, assert_same_run

OPTIONS: dict[str, Any] = {"progress": False, "batch_size": 8, "epochs": 4, "optimizer": dl.optim.adam(0.02)}
RATES = {"learning_rate": [1e-3, 1e-2, 1e-1]}


def sweep(model, data, space=RATES, **options) -> dl.Sweep:
    return dl.sweep(model, data, space=space, **(OPTIONS | options))


def build(hparams):
    return dl.models.mlp((hparams["width"],), classes=3, dropout=hparams["rate"], activation=hparams["activation"])


STRUCTURE = {
    "width": [4, 6],
    "activation": [dl.activations.relu, dl.activations.tanh],
    "rate": [0.0, 0.3],
    "batch_size": [8, 10],
}


@pytest.fixture(scope="module")
def rates(model, data) -> dl.Sweep:
    return dl.sweep(model, data, space=RATES, seeds=3, **OPTIONS)


# --- lanes -----------------------------------------------------------------------------------------------------------


def test_every_lane_is_the_lone_run(model, data, rates):
    assert len(rates.runs) == 1
    for row in rates.rows[::4]:
        lone = dl.fit(model, data, **OPTIONS, key=row["seed"], hparams={"learning_rate": row["learning_rate"]})
        assert_same_run(rates.lane(row["lane"]), lone)


@pytest.mark.slow
def test_structure_groups_the_lanes_and_they_are_lone_runs_still(data):
    result = sweep(build, data, STRUCTURE, seeds=2)
    assert len(result.runs) == 8 and len(result.rows) == 32
    assert [row["lane"] for row in result.rows] == list(range(32))
    for row in result.rows[::7]:
        own = {name: row[name] for name in ("width", "activation", "rate")}
        lone = dl.fit(build, data, **OPTIONS | {"batch_size": row["batch_size"]}, hparams=own, key=row["seed"])
        assert_same_run(result.lane(row["lane"]), lone)


@pytest.mark.slow
def test_families_of_optimizers_are_structure(model, data):
    families = [dl.optim.sgd(0.1), dl.optim.momentum(0.1), dl.optim.rmsprop(0.01), dl.optim.adamw(0.01)]
    result = sweep(model, data, {"optimizer": families, "learning_rate": [0.01, 0.02]})
    assert len(result.runs) == 4
    for row in result.rows:
        options = OPTIONS | {"optimizer": row["optimizer"]}
        lone = dl.fit(model, data, **options, hparams={"learning_rate": row["learning_rate"]})
        assert_same_run(result.lane(row["lane"]), lone)


@pytest.mark.slow
def test_any_number_of_values_is_one_program(data):
    model = dl.models.mlp((5,), classes=3)
    sweep(model, data, {"learning_rate": [1e-3, 1e-2], "b1": [0.8, 0.9]})
    with counting() as compiles:
        result = sweep(model, data, {"learning_rate": [3e-3, 3e-2], "b1": [0.85, 0.95]})
    assert compiles.traces == compiles.lowerings == compiles.backend == 0, compiles
    assert len(result.runs) == 1
    with counting() as compiles:
        sweep(model, data, {"learning_rate": list(np.geomspace(1e-3, 1e-1, 7))})
    assert compiles.names["lowered"].count("jit(chunk)") == 1, compiles


@pytest.mark.slow
def test_random_points_are_drawn_once(model, data):
    space = {"learning_rate": dl.space.log_uniform(1e-3, 1e-1)}
    result = sweep(model, data, space, samples=3, seeds=2, epochs=1)
    assert [row["learning_rate"] for row in result.rows] == [
        point["learning_rate"] for point in dl.space.points(space, 3) for _ in range(2)
    ]


@pytest.mark.slow
def test_an_initial_scale_is_a_traced_value(data):
    def scaled(hparams):
        plain = dl.initializers.he_normal()
        return dl.serial(
            hidden=dl.dense(5, kernel_init=lambda *given: hparams["scale"] * plain(*given)),
            relu=dl.relu(),
            out=dl.dense(3),
        )

    result = sweep(scaled, data, {"scale": [0.1, 1.0, 10.0]}, epochs=1)
    assert len(result.runs) == 1
    norms = [run.metrics["params_norm"][0] for run in (result.lane(lane) for lane in range(3))]
    assert norms[0] < norms[1] < norms[2]


@pytest.mark.slow
def test_lanes_stop_by_themselves_and_keep_their_best(model, data):
    options: dict[str, Any] = {"epochs": 20, "patience": 2, "key": 2}
    result = sweep(model, data, {"learning_rate": [0.02, 0.05]}, seeds=3, **options)
    assert len({row["steps"] for row in result.rows}) > 1
    for row in result.rows:
        lone = dl.fit(
            model, data, **OPTIONS | options | {"key": row["seed"]}, hparams={"learning_rate": row["learning_rate"]}
        )
        assert_same_run(result.lane(row["lane"]), lone)
        assert row["stopped"] == lone.stopped
        assert row["best_validation_loss"] == lone.metrics["validation_loss"].min()
    assert result.value == "best_validation_loss"


@pytest.mark.slow
def test_a_loss_may_be_an_axis(data):
    model, losses = dl.models.softmax_regression(3), [dl.losses.cross_entropy]
    result = sweep(model, data, {"loss": losses}, epochs=1)
    assert result.rows[0]["loss"] is dl.losses.cross_entropy and result.rows[0]["train_loss"] > 0


@pytest.mark.slow
def test_a_lane_that_is_not_finite_leaves_the_others_alone(model, data, rates):
    result = sweep(model, data, {"learning_rate": [1e-3, 1e30, 1e-1]}, optimizer=dl.optim.sgd(0.1), seeds=2)
    clean = sweep(model, data, {"learning_rate": [1e-3, 1e-1]}, optimizer=dl.optim.sgd(0.1), seeds=2)
    stopped = [row["stopped"] for row in result.rows]
    assert all("non-finite at step" in one for one in stopped[2:4])
    for lane, own in ((0, 0), (1, 1), (4, 2), (5, 3)):
        assert_same_run(result.lane(lane), clean.lane(own))
    assert "non-finite" not in result.best().stopped[0]
    assert repr(result).splitlines()[-1].split()[0] == "1e+30"
    failed = sweep(model, data, {"learning_rate": [1e30, 1e31]}, optimizer=dl.optim.sgd(0.1))
    with pytest.raises(ValueError, match="best: no point came to a finite train_loss with all of its seeds"):
        failed.best()
    assert "1e+31" in repr(failed)


# --- successive halving ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_rung_keeps_the_better_half(data):
    space = {"width": [2, 6], "learning_rate": [1e-4, 1e-3, 1e-2]}
    model = lambda hparams: dl.models.mlp((hparams["width"],), classes=3)
    whole = sweep(model, data, space, seeds=2, epochs=6)
    result = sweep(model, data, space, seeds=2, epochs=6, rungs=[1, 3])
    left = list(range(6))
    for rung in (1, 3):
        scores = [np.mean([whole.lane(2 * p + s).metrics["validation_loss"][rung - 1] for s in range(2)]) for p in left]
        kept = sorted(np.array(left)[np.argsort(scores, kind="stable")[: -(-len(left) // 2)]])
        for point in set(left) - set(kept):
            assert [result.rows[2 * point + seed]["stopped"] for seed in range(2)] == [f"rung at epoch {rung}"] * 2
            assert result.lane(2 * point).final.step == 5 * rung
        left = kept
    assert len(left) == 2
    for point in left:
        assert_same_run(result.lane(2 * point), whole.lane(2 * point))


@pytest.mark.parametrize(
    ("rungs", "words"),
    [([3, 1], "increasing"), ([4], "before the last, 4"), ([0.5], "whole epochs"), ([-1], "increasing")],
)
def test_rungs_that_make_no_sense_are_refused(model, data, rungs, words):
    with pytest.raises(ValueError, match=f"rungs: expected .*{words}"):
        sweep(model, data, rungs=rungs)


# --- side by side ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_lanes_side_by_side_agree_with_the_loop(model, data):
    options: dict[str, Any] = {"seeds": 3, "epochs": 12, "patience": 1, "key": 2}
    loop, side = (sweep(model, data, RATES, lanes=lanes, **options) for lanes in ("loop", "vmap"))
    for one, other in zip(loop.rows, side.rows, strict=True):
        assert one["steps"] == other["steps"] and one["stopped"] == other["stopped"]
        # Batched products add in another order: one rounding a step.
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-3)


@pytest.mark.slow
def test_lanes_that_have_stopped_make_room_in_powers_of_two(model, data, monkeypatch):
    sizes = []
    plain = _fleet.Fleet._orders

    def watched(self, active):
        found = plain(self, active)
        sizes.append((int(active.sum()), [len(order[0]) for order in found]))
        return found

    monkeypatch.setattr(_fleet.Fleet, "_orders", watched)
    sweep(model, data, RATES, lanes="vmap", seeds=3, epochs=20, patience=1, key=2)
    assert len({live for live, _ in sizes}) > 1
    for live, blocks in sizes:
        assert blocks == ([min(9, 1 << (live - 1).bit_length())] if live else [])


@pytest.mark.slow
def test_no_more_lanes_run_side_by_side_than_memory_holds(model, data, monkeypatch):
    whole = sweep(model, data, RATES, lanes="vmap", seeds=3)
    widths = []

    def watched(compile_for, count, limit):
        needs = {width: compile_for(width).memory_analysis() for width in (1, 2, 4, 9)}
        bytes_of = {w: m.temp_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes for w, m in needs.items()}
        assert bytes_of[1] < bytes_of[4] < bytes_of[9]
        widths.append(lanes_that_fit(compile_for, count, bytes_of[4]))
        return widths[-1]

    monkeypatch.setattr(_fleet, "lanes_that_fit", watched)
    parts = sweep(model, data, RATES, lanes="vmap", seeds=3)
    assert widths == [4]
    for lane in range(9):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), parts.lane(lane).params, whole.lane(lane).params
        )
    monkeypatch.setattr(
        _fleet, "lanes_that_fit", lambda compile_for, count, limit: lanes_that_fit(compile_for, count, 10)
    )
    with pytest.raises(MemoryError, match="one lane needs .* give a smaller batch_size"):
        sweep(model, data, RATES, lanes="vmap", seeds=3)


# --- stopped and resumed ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"rungs": [1, 2]}, {"patience": 2}], ids=["plain", "rungs", "patience"])
def test_a_sweep_that_was_killed_goes_on_to_the_same_bits(data, tmp_path, monkeypatch, more):
    space = {"width": [3, 4], "learning_rate": [1e-3, 1e-2]}
    model = lambda hparams: dl.models.mlp((hparams["width"],), classes=3)
    options: dict[str, Any] = more | {"seeds": 2, "epochs": 6}
    whole, plain = sweep(model, data, space, **options), _progress.Silent.update
    for after in (2, 5, 7):
        heard = []

        def update(self, step, values, heard=heard, after=after):
            heard.append(step)
            if len(heard) == after:
                raise Killed

        out = tmp_path / str(after)
        monkeypatch.setattr(_progress.Silent, "update", update)
        with pytest.raises(Killed):
            sweep(model, data, space, out=out, save_every=1, **options)
        monkeypatch.setattr(_progress.Silent, "update", plain)
        resumed = sweep(model, data, space, out=out, save_every=1, resume=True, **options)
        assert json.dumps(resumed.rows) == json.dumps(whole.rows)
        for lane in range(8):
            assert_same_run(resumed.lane(lane), whole.lane(lane))


@pytest.mark.slow
def test_an_interrupted_sweep_says_so_and_goes_on(model, data, tmp_path, monkeypatch):
    whole, plain = sweep(model, data), _progress.Silent.update
    once = iter([lambda: os.kill(os.getpid(), signal.SIGTERM)])
    monkeypatch.setattr(_progress.Silent, "update", lambda *_: next(once, lambda: None)())
    part = sweep(model, data, out=tmp_path)
    monkeypatch.setattr(_progress.Silent, "update", plain)
    assert part.stopped == "terminated" and {row["stopped"] for row in part.rows} == {"terminated"}
    resumed = sweep(model, data, out=tmp_path, resume=True)
    for lane in range(3):
        assert_same_run(resumed.lane(lane), whole.lane(lane))
    with pytest.raises(ValueError, match="made with another configuration: space: "):
        sweep(model, data, {"learning_rate": [1e-3]}, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match="holds a sweep, and this is a run"):
        dl.fit(model, data, **OPTIONS, out=tmp_path, resume=True)
    with pytest.raises(dl.CheckpointError, match="holds a sweep, not a run"):
        dl.load(tmp_path)


@pytest.mark.slow
def test_a_sweep_that_is_stopped_before_its_first_step_leaves_a_table(data, tmp_path):
    sent = []

    def loss(predictions, targets):
        if not sent:  # once, while the first group is traced
            sent.append(os.kill(os.getpid(), signal.SIGINT))
        return dl.losses.cross_entropy(predictions, targets)

    model = lambda hparams: dl.models.mlp((hparams["width"],), classes=3)
    result = sweep(model, data, {"width": [2, 3]}, loss=loss, out=tmp_path)
    assert result.stopped == "interrupted" and [row["steps"] for row in result.rows] == [0]
    assert "interrupted" in repr(result) and result._repr_html_() and (tmp_path / "lanes.csv").exists()
    resumed = sweep(model, data, {"width": [2, 3]}, loss=loss, out=tmp_path, resume=True)
    assert [row["stopped"] for row in resumed.rows] == ["finished"] * 2


def test_a_lane_goes_on_as_a_run_of_its_own(model, data, rates):
    options: dict[str, Any] = OPTIONS | {"epochs": 6}
    lone = dl.fit(model, data, **options, key=1, hparams={"learning_rate": 1e-2})
    assert_same_run(rates.lane(4).resume(epochs=6, progress=False), lone)
    with pytest.raises(ValueError, match="lanes with different hyperparameters are no one run"):
        rates.runs[0].resume(epochs=6)


# --- what came out ---------------------------------------------------------------------------------------------------


def test_the_table_has_a_row_a_lane(rates):
    assert [row["learning_rate"] for row in rates.rows] == [rate for rate in RATES["learning_rate"] for _ in range(3)]
    assert [row["seed"] for row in rates.rows] == [0, 1, 2] * 3
    for row in rates.rows:
        run = rates.lane(row["lane"])
        assert row["steps"] == run.final.step and row["stopped"] == "finished"
        assert row["validation_loss"] == run.metrics["validation_loss"][-1]
        assert row["best_validation_accuracy"] == run.metrics["validation_accuracy"].max()
        assert row["test_loss"] == run.metrics["test_loss"]


def test_means_have_intervals_over_seeds(rates):
    means = rates.means("validation_loss")
    values = np.array([row["validation_loss"] for row in rates.rows]).reshape(3, 3)
    np.testing.assert_allclose([row["validation_loss"] for row in means], values.mean(1))
    spread = 4.302653 * values.std(1, ddof=1) / np.sqrt(3)  # Student's t with two degrees of freedom
    np.testing.assert_allclose([row["validation_loss_low"] for row in means], values.mean(1) - spread, rtol=1e-5)


@pytest.mark.slow
def test_points_with_the_same_name_are_different_points(data):
    inits = [
        dl.initializers.he_normal(),
        dl.initializers.lecun_normal(),
        lambda *given: 0.1 * jax.random.normal(*given),
    ]
    inits.append(lambda *given: 0.2 * jax.random.normal(*given))
    model = lambda hparams: dl.serial(out=dl.dense(3, kernel_init=hparams["init"]))
    space = {"init": inits, "learning_rate": [0.12341, 0.12342]}
    result = sweep(model, data, space, epochs=1, seeds=2)
    assert len(result.means()) == len(repr(result).splitlines()) - 2 == 8
    assert "he_normal()" in repr(result) and "<lambda> (3)" in repr(result) and "<lambda> (4)" in repr(result)
    assert len(result.plot().axes[0].get_lines()) == 8
    assert result.plot_map().axes[0].images[0].get_array().shape in ((2, 4), (4, 2))
    assert len(result.plot_axis("init").axes[0].get_xticks()) == 4


def test_the_best_point_comes_with_all_of_its_seeds(rates):
    losses = np.array([row["validation_loss"] for row in rates.rows]).reshape(3, 3).mean(1)
    best = rates.best()
    assert best.lanes == "loop" and len(best.arguments) == 3
    assert np.float32(best.hparams["learning_rate"]) == np.float32(RATES["learning_rate"][int(losses.argmin())])
    accuracy = np.array([row["test_accuracy"] for row in rates.rows]).reshape(3, 3).mean(1)
    chosen = np.float32(rates.best("test_accuracy").hparams["learning_rate"])
    assert accuracy[[np.float32(rate) for rate in RATES["learning_rate"]].index(chosen)] == accuracy.max()


def test_two_points_are_compared_by_seed(rates):
    found = rates.compare({"learning_rate": 1e-3}, {"learning_rate": 1e-1}, "test_loss")
    rows = {(row["learning_rate"], row["seed"]): row["test_loss"] for row in rates.rows}
    expected = np.mean([rows[1e-1, seed] - rows[1e-3, seed] for seed in range(3)])
    assert found.difference == pytest.approx(expected) and found.pairs == 3
    with pytest.raises(ValueError, match="compare: no lane has {'learning_rate': 0.5}"):
        rates.compare({"learning_rate": 0.5}, {"learning_rate": 1e-1})
    with pytest.raises(ValueError, match="there is no column 'rate'"):
        rates.compare({"rate": 0.5}, {"rate": 1e-1})


def test_the_table_is_written_whole(rates, tmp_path):
    rates.to_csv(tmp_path / "t.csv")
    rates.to_json(tmp_path / "t.json")
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["test_loss"]) for row in rows] == [row["test_loss"] for row in rates.rows]
    assert json.loads((tmp_path / "t.json").read_text())[4]["seed"] == 1


@pytest.mark.slow
def test_the_pictures_are_drawn(data):
    result = sweep(
        lambda hparams: dl.models.mlp((hparams["width"],), classes=3),
        data,
        RATES | {"width": [2, 4]},
        seeds=2,
        epochs=2,
    )
    for figure in (
        result.plot(),
        result.plot("loss"),
        result.plot_axis("width"),
        result.plot_axis(),
        result.plot_map(),
    ):
        assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="there is no metric 'los'; did you mean 'loss'"):
        result.plot("los")
    with pytest.raises(ValueError, match="there is no column 'widht'; did you mean 'width'"):
        result.plot_axis("widht")


@pytest.mark.slow
def test_the_report_needs_no_other_file(model, data, tmp_path):
    result = sweep(model, data, out=tmp_path / "sweep", seeds=2)
    run = dl.fit(model, data, **OPTIONS, out=tmp_path / "run")
    run.report(tmp_path / "again.html")
    result.report(tmp_path / "sweep.html")
    for path in ("sweep/report.html", "run/report.html", "again.html", "sweep.html"):
        text = (tmp_path / path).read_text()
        html.parser.HTMLParser().feed(text)
        assert "http://" not in text and "https://" not in text
        assert "Confusion matrix" in text and "learning rate" in text.replace("_", " ")
    assert {path.name for path in (tmp_path / "sweep").iterdir()} == {
        ".lock",
        "checkpoints",
        "config.json",
        "lanes.csv",
        "lanes.json",
        "report.html",
    }


@pytest.mark.parametrize(
    ("space", "options", "words"),
    [
        ({"lerning_rate": [0.1]}, {}, "hparams: nothing reads 'lerning_rate'; did you mean 'learning_rate'"),
        ({"learning_rate": [0.1, -1.0]}, {}, "learning_rate: expected a positive number"),
        ({"batch_size": [8, 4000]}, {}, "batch_size: 4000 is more than the 40 training examples"),
        ({"learning_rate": [0.1]}, {"monitor": "acuracy"}, "monitor: there is no 'acuracy'"),
        ({"learning_rate": [0.1]}, {"lanes": "side"}, "lanes: expected 'loop' or 'vmap'"),
        ({"learning_rate": [0.1]}, {"resume": True}, "resume: give the folder"),
    ],
)
def test_points_that_do_not_fit_are_refused_before_anything_is_compiled(model, data, space, options, words):
    with counting() as compiles, pytest.raises((ValueError, TypeError), match=words) as caught:
        sweep(model, data, space, **options)
    assert compiles.backend == 0, compiles
    if "learning_rate" in words and "nothing" not in words:
        assert "at the point {'learning_rate': -1.0}" in caught.value.__notes__


def test_an_iterator_is_no_data_for_a_sweep(model):
    with pytest.raises(TypeError, match="an iterator can be read once"):
        sweep(dl.models.linear(), iter([(np.ones((4, 2)), np.ones((4, 1)))]), epochs=None, steps=4)
