"""The command line, as a person meets it."""

import json
import os
import signal
import subprocess
import sys

import pytest

from dlcore.cli import main


def run(*arguments, cwd=None):
    """Runs `dlcore` in a process of its own; returns (exit status, stdout, stderr)."""
    command = [sys.executable, "-c", "from dlcore.cli import main; main()", *arguments]
    root = os.path.dirname(os.path.dirname(__file__))
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_train_writes_plain_lines_to_a_pipe_and_leaves_a_folder(tmp_path):
    status, out, err = run("train", "iris", "--epochs", "3", "--batch-size", "32", "--seed", "3", cwd=tmp_path)
    assert (status, err) == (0, "")
    assert "\x1b" not in out and "\r" not in out  # no colours, no cursor movements
    lines = out.splitlines()
    assert lines[0] == "softmax regression on iris"
    assert any(line.startswith("compiled in ") for line in lines)
    assert any(line.startswith("epoch 3/3  loss ") and "learning rate 0.05" in line for line in lines)
    assert any(line.split()[:2] == ["test", "accuracy"] for line in lines)
    folder = tmp_path / "runs" / "iris-1"
    files = ["checkpoints", "config.json", "curves.png", "metrics.csv", "report.html", "results.json"]
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == files
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "config.json").read_text())["arguments"]["key"] == 3


@pytest.mark.slow
def test_a_second_run_gets_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        main(["train", "iris", "--epochs", "1"])
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["iris-1", "iris-2"]
    assert "iris-2" in capsys.readouterr().out


@pytest.mark.slow
def test_every_option_of_train_changes_the_run(tmp_path, capsys):
    out = tmp_path / "run"
    options = ["--data", "wine", "--optimizer", "momentum", "--learning-rate", "0.02", "--batch-size", "16"]
    main(["train", "iris", *options, "--epochs", "2", "--seed", "7", "--seeds", "2", "--out", str(out)])
    whole = json.loads((out / "config.json").read_text())
    config = whole["arguments"]
    assert config["data"]["recipe"] == "dlcore.data.wine"
    assert config["optimizer"]["recipe"] == "dlcore.optim.momentum"
    assert whole["hparams"]["learning_rate"] == 0.02
    assert (config["batch_size"], config["key"], config["seeds"]) == (16, 7, 2)
    assert "epoch 2/2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "lenet"], ["preset", "did you mean 'lenet5'?"]),
        (["train", "iris", "--data", "iriss"], ["did you mean 'iris'?"]),
        (["train", "iris", "--optimizer", "adan"], ["did you mean 'adam'?"]),
        (["train", "iris", "--learning-rate", "-1"], ["learning_rate", "-1.0"]),
        (["train", "iris", "--learning-rate", "nan"], ["learning_rate", "nan"]),
        (["train", "iris", "--batch-size", "5000"], ["batch_size", "5000", "120"]),
        (["train", "iris", "--epochs", "0"], ["epochs", "0"]),
        (["train", "iris", "--data", "digits"], ["labels", "10", "3"]),
        (["summary", "lenet"], ["did you mean 'lenet5'?"]),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_status_2(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert captured.err.startswith("dlcore: ") and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err


def test_a_folder_that_exists_is_left_alone_unless_told(tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.json").write_text("mine")
    with pytest.raises(SystemExit):
        main(["train", "iris", "--epochs", "1", "--out", str(out)])
    assert (out / "config.json").read_text() == "mine" and "--overwrite" in capsys.readouterr().err
    main(["train", "iris", "--epochs", "1", "--out", str(out), "--overwrite"])
    assert json.loads((out / "config.json").read_text())["arguments"]["key"] == 0


def test_a_mistyped_option_gets_a_suggestion(tmp_path):
    status, _, err = run("train", "--lerning-rate", "1e-3", cwd=tmp_path)
    assert status == 2 and "--learning-rate" in err


def test_list_shows_presets_data_and_optimizers(capsys):
    main(["list"])
    out = capsys.readouterr().out
    for name in ("lenet5", "mlp", "digits         here      1,797 images", "diabetes", "adamw"):
        assert name in out


def test_summary_shows_layers_and_parameters(capsys):
    main(["summary", "lenet5"])
    out = capsys.readouterr().out
    assert "conv1" in out and "61,706" in out


@pytest.mark.slow
def test_the_main_job_reaches_its_accuracy(tmp_path):
    status, out, _ = run("train", "--out", str(tmp_path / "run"), cwd=tmp_path)
    results = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert status == 0 and "LeNet-5" in out
    assert results["test_accuracy"] >= 0.975


@pytest.mark.slow
def test_the_main_job_reaches_its_accuracy_over_ten_seeds(tmp_path):
    run("train", "--seeds", "10", "--out", str(tmp_path / "run"), cwd=tmp_path)
    results = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert len(results["test_accuracy"]) == 10
    assert sum(results["test_accuracy"]) / 10 >= 0.98


@pytest.mark.slow
def test_ctrl_c_leaves_the_run_so_far_and_exits_with_130(tmp_path):
    command = [sys.executable, "-c", "from dlcore.cli import main; main()", "train", "iris", "--epochs", "1000000"]
    root = os.path.dirname(os.path.dirname(__file__))
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch "):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "stopped: interrupted" in rest
    assert (tmp_path / "runs" / "iris-1" / "curves.png").exists()


def start(*arguments, cwd):
    command = [sys.executable, "-c", "from dlcore.cli import main; main()", *arguments]
    root = os.path.dirname(os.path.dirname(__file__))
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_sigterm_saves_says_how_to_go_on_and_exits_with_143(tmp_path):
    out = tmp_path / "run"
    with start("train", "iris", "--epochs", "1000000", "--out", str(out), cwd=tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch "):
                break
        process.send_signal(signal.SIGTERM)
        rest, err = process.communicate()
    assert (process.returncode, err) == (143, "")
    assert f"terminated, and saved; go on with: dlcore train --resume --out {out}" in rest
    steps = json.loads((out / "results.json").read_text())["steps"]
    assert steps > 0
    # It goes on with what it was told at first; only how long is new.
    epochs = steps + 2  # of one step
    main(["train", "--resume", "--out", str(out), "--epochs", str(epochs)])
    assert json.loads((out / "results.json").read_text())["steps"] == epochs
    main(["verify", str(out)])


def test_what_resume_cannot_do_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["train", "iris", "--epochs", "1", "--out", "run"])
    capsys.readouterr()
    for arguments, words in (
        (["train", "--resume"], "--resume: say which run to go on with"),
        (["train", "--resume", "--out", "run", "--batch-size", "16"], "another configuration: batch_size: 64 -> 16"),
        (["train", "--resume", "--out", "run", "--learning-rate", "0.5"], "learning_rate=0.5"),
        (["train", "wine", "--resume", "--out", "run"], "another configuration: "),
        (["verify", "nowhere"], "nowhere holds no run"),
        (["sweep", "mlp"], "give a --grid or a --random range"),
        (["sweep", "mlp", "--grid", "learning_rate"], "expected NAME=VALUE,VALUE,..., found 'learning_rate'"),
        (["sweep", "mlp", "--random", "dropout=1"], "expected NAME=LOW:HIGH, found 'dropout=1'"),
        (["sweep", "mlp", "--grid", "widht=8,16"], "did you mean 'width'?"),
        (["sweep", "mlp", "--grid", "activation=relu,tanhh"], "did you mean 'tanh'?"),
        (["sweep", "iris", "--grid", "learning_rate=0.1,-1"], "at the point {'learning_rate': -1.0}"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        err = capsys.readouterr().err
        assert caught.value.code == 2 and err.startswith("dlcore: ") and err.count("\n") == 1 and words in err, err


@pytest.mark.slow
def test_a_damaged_checkpoint_is_said_in_one_line(tmp_path):
    run("train", "iris", "--epochs", "4", "--save-every", "2", "--out", "run", cwd=tmp_path)
    (tmp_path / "run" / "checkpoints" / "4" / "_CHECKPOINT_METADATA").write_text("{}")
    status, out, err = run("train", "--resume", "--out", "run", cwd=tmp_path)
    assert status == 0 and "dlcore: " in err and "4 is damaged" in err and "using step 2" in err
    assert err.count("\n") == 1 and "4 steps" in out


@pytest.mark.slow
def test_a_sweep_prints_its_table_and_leaves_a_report(tmp_path, capsys):
    out = tmp_path / "sweep"
    grid = ["--grid", "learning_rate=1e-3,1e-2", "width=4,8", "optimizer=sgd,adam"]
    options = ["--random", "dropout=0:0.5", "--samples", "2", "--seeds", "2", "--epochs", "2", "--rungs", "1"]
    command = ["sweep", "breast_cancer", *grid, *options, "--out", str(out)]
    main(command)
    said = capsys.readouterr().out
    assert "sweep of 16 points with 2 seeds, 32 runs in 4 programs" in said
    assert sum(line.lstrip().startswith("0.0") for line in said.splitlines()) == 16
    assert {"lanes.csv", "lanes.json", "report.html"} <= {path.name for path in out.iterdir()}
    rows = json.loads((out / "lanes.json").read_text())
    assert len(rows) == 32 and sum(row["stopped"] == "rung at epoch 1" for row in rows) == 16
    main([*command, "--resume"])
    assert json.loads((out / "lanes.json").read_text()) == rows
