"""One run in two processes is the run in one; a process that is lost is named, and the run goes on from its folder."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore.train._saver import open_snapshot

ROOT = Path(__file__).parents[2]

TRAIN = """
import sys
import jax
import dlcore as dl

port, processes, process, out, steps, mode = sys.argv[1:]
if port == "found":
    dl.scale.start()
elif int(processes) > 1:
    dl.scale.start(f"127.0.0.1:{port}", int(processes), int(process))
assert len(jax.devices()) == 2, jax.devices()
model = dl.serial(dl.layers.flatten(), up=dl.dense(32), norm=dl.layers.batch_norm(), relu=dl.relu(),
                  drop=dl.dropout(0.2), head=dl.dense(10))
layout = dl.scale.layout({"data": 2}, shard_params=mode == "params", least=64)
digits = dl.data.digits()

class Batches:
    # Each process reads its share of every batch, and can say where it stands.
    def __iter__(self):
        self.at = 0
        return self

    def __next__(self):
        rows = slice(32 * (self.at % 40), 32 * (self.at % 40) + 32)
        own = dl.data.share(32)
        self.at += 1
        return digits.train["x"][rows][own], digits.train["y"][rows][own]

    def get_state(self):
        return {"at": self.at, "process": jax.process_index()}

    def set_state(self, state):
        assert state["process"] == jax.process_index()
        self.at = state["at"]

data = Batches() if mode == "stream" else digits
run = dl.fit(model, data, optimizer=dl.optim.momentum(0.02), mesh=layout, steps=int(steps), out=out,
             save_every=1, resume=True, allow_changes=True, progress=True)
print(process, run.stopped, float(run.metrics["loss"][-1]), float(run.metrics.get("test_accuracy", "nan")), flush=True)
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def free_job() -> int:
    """Returns the number of a job from which JAX derives a free port: job % 4096 + 61440."""
    while True:
        job = random.randrange(10**6)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", job % 4096 + 61440))
            return job


def start(
    processes: int,
    out: Path,
    steps: int,
    mode: str = "data",
    cluster: Callable[[int], dict[str, str]] | None = None,
    before: str = "",
) -> list[subprocess.Popen[str]]:
    port = "found" if cluster else str(free_port())
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(2 // processes), "JAX_PLATFORMS": "cpu"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", before + TRAIN, port, str(processes), str(number), str(out), str(steps), mode],
            cwd=ROOT,
            env=environment | (cluster(number) if cluster else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]


def finish(running: list[subprocess.Popen[str]]) -> list[str]:
    said = [one.communicate(timeout=100) for one in running]
    assert all(one.returncode == 0 for one in running), "\n".join(error[-2000:] for _, error in said)
    return [out for out, _ in said]


def weights(folder: Path) -> dict[str, np.ndarray]:
    snapshot = open_snapshot(folder / "checkpoints")
    assert snapshot is not None
    return {k: v for k, v in snapshot.arrays.items() if k.startswith(("carry/params", "carry/state", "carry/opt"))}


def has_checkpoint(folder: Path) -> bool:
    return any((folder / "checkpoints").glob("[0-9]*/commit_success.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["data", "params", "stream"])
def test_two_processes_train_what_one_does(mode, tmp_path):
    (alone,) = finish(start(1, tmp_path / "one", 44, mode))
    first, second = finish(start(2, tmp_path / "two", 44, mode))
    assert first.splitlines()[-1][2:] == second.splitlines()[-1][2:]  # whole metrics in both
    assert "compiled in" in first and "compiled in" not in second  # one of them tells how it goes
    np.testing.assert_allclose(*[float(said.split()[-2]) for said in (alone, first)], rtol=1e-4)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5, err_msg=name)
    if mode != "stream":  # what processes have written is looked at in one
        run = dl.load(tmp_path / "two")
        assert run.evaluate("test")["accuracy"] == pytest.approx(float(first.split()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "mode"), [(0, "data"), (1, "stream")])
def test_a_lost_process_is_named_and_the_run_goes_on_to_the_same_bits(victim, mode, tmp_path):
    finish(start(2, tmp_path / "whole", 1100, mode))
    running = start(2, tmp_path / "killed", 10**7, mode)
    until = time.monotonic() + 120
    while not has_checkpoint(tmp_path / "killed") and time.monotonic() < until:
        time.sleep(0.05)
    running[victim].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    other = running[1 - victim]
    _, error = other.communicate(timeout=60)
    assert time.monotonic() - killed < 15 and other.returncode != 0
    assert "process 1 was lost, of 2" in error if victim == 1 else "leader" in error or "process 0 was lost" in error
    running[victim].communicate()
    assert has_checkpoint(tmp_path / "killed")
    finish(start(2, tmp_path / "killed", 1100, mode))
    whole, again = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert whole.keys() == again.keys() and all(whole[name].tobytes() == again[name].tobytes() for name in whole)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_of_them_after_the_same_step(tmp_path):
    running = start(2, tmp_path / "run", 10**7)
    until = time.monotonic() + 120
    while not has_checkpoint(tmp_path / "run") and time.monotonic() < until:
        time.sleep(0.05)
    running[1].send_signal(signal.SIGTERM)
    first, second = finish(running)
    assert "0 terminated" in first and "1 terminated" in second


def test_half_of_what_a_process_needs_to_know_is_refused():
    with pytest.raises(ValueError, match="start: expected all of coordinator_address, num_processes and process_id"):
        dl.scale.start("127.0.0.1:1234")
    with pytest.raises(ValueError, match="process_id: expected 0 to 1, found 2"):
        dl.scale.start("127.0.0.1:1234", 2, 2)


@pytest.mark.slow
def test_the_command_line_starts_a_process_of_several(tmp_path):
    port = free_port()
    words = ["train", "mlp", "--epochs", "2", "--seed", "3", "--out", str(tmp_path / "run")]
    there = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process"]
    command = [sys.executable, "-c", "from dlcore.cli import main; main()", *words, *there]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "JAX_PLATFORMS": "cpu"}
    options: dict[str, Any] = {"cwd": ROOT, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    first, second = finish([subprocess.Popen([*command, str(i)], text=True, **options) for i in range(2)])
    assert "report:" in first and "report:" not in second and "Run" not in second
    assert dl.load(tmp_path / "run").metrics["loss"].shape == (44,)


def slurm(number: int, job: int) -> dict[str, str]:
    """What `srun --nodes 1 --ntasks 2` gives a task."""
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
    }


def open_mpi(number: int, job: int) -> dict[str, str]:
    """What `mpirun -n 2` of Open MPI 4 gives a rank."""
    return {
        "OMPI_MCA_orte_hnp_uri": f"{job * 2**12}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(number),
        "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
        "OMPI_COMM_WORLD_LOCAL_RANK": str(number),
    }


# A pod finds its service account in files under /var/run, and a name server for train-0.pods.
IN_A_POD = """
import os
import kubernetes
from jax._src.clusters.k8s_cluster import K8sCluster

there = kubernetes.client.Configuration(host=os.environ["API"])
kubernetes.config.load_incluster_config = lambda: kubernetes.client.Configuration.set_default(there)
K8sCluster._namespace = classmethod(lambda cls: "research")
assert K8sCluster.is_env_present() and K8sCluster.get_coordinator_address(None, None) == "train-0.pods:55527"
"""
PODS = {
    "items": [
        {
            "metadata": {
                "labels": {"job-name": "train"},
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "1", "controller": True}
                ],
            },
            "spec": {"containers": [{"name": "train"}], "subdomain": "pods"},
        }
    ]
}
JOB = {
    "metadata": {"name": "train", "labels": {}},
    "spec": {"parallelism": 2, "completionMode": "Indexed", "template": {"spec": {"containers": [{"name": "train"}]}}},
}


class KubernetesApi(http.server.BaseHTTPRequestHandler):
    """Answers what a process asks about its pod and its job."""

    def do_GET(self):
        job = "/apis/batch/v1/namespaces/research/jobs/train"
        pods = "/api/v1/namespaces/research/pods?fieldSelector=status.podIP%3D127.0.0.1"
        found = {job: JOB, pods: PODS}.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("given", [slurm, open_mpi])
def test_a_cluster_tells_its_processes_all_they_need(given, tmp_path):
    (alone,) = finish(start(1, tmp_path / "one", 44))
    job = free_job()
    first, second = finish(start(2, tmp_path / "two", 44, cluster=lambda number: given(number, job)))
    same_runs(alone, first, second, tmp_path)


@pytest.mark.slow
@pytest.mark.may_skip(reason="wants the client of Kubernetes, which nothing else does")
@pytest.mark.skipif(importlib.util.find_spec("kubernetes") is None, reason="needs pip install kubernetes")
def test_a_job_of_kubernetes_tells_its_pods_all_they_need(tmp_path):
    (alone,) = finish(start(1, tmp_path / "one", 44))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), KubernetesApi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api, coordinator = f"http://127.0.0.1:{server.server_port}", f"127.0.0.1:{free_port()}"

        def pod(number: int) -> dict[str, str]:
            own = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "HOSTNAME": "localhost", "JOB_COMPLETION_INDEX": str(number)}
            return {**own, "API": api, "JAX_COORDINATOR_ADDRESS": coordinator}

        first, second = finish(start(2, tmp_path / "two", 44, cluster=pod, before=IN_A_POD))
        server.shutdown()
    same_runs(alone, first, second, tmp_path)


def same_runs(alone: str, first: str, second: str, tmp_path: Path) -> None:
    assert first.splitlines()[-1][0] == "0" and second.splitlines()[-1][0] == "1"
    assert first.splitlines()[-1][2:] == second.splitlines()[-1][2:]
    np.testing.assert_allclose(*[float(said.split()[-2]) for said in (alone, first)], rtol=1e-4)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_the_command_line_finds_its_cluster(tmp_path):
    words = ["train", "mlp", "--epochs", "2", "--seed", "3", "--out", str(tmp_path / "run"), "--distributed"]
    command = [sys.executable, "-c", "from dlcore.cli import main; main()", *words]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "JAX_PLATFORMS": "cpu"}
    job = free_job()
    options: dict[str, Any] = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment | slurm(number, job), **options) for number in range(2)]
    first, second = finish(both)
    assert "report:" in first and "report:" not in second
    assert dl.load(tmp_path / "run").metrics["loss"].shape == (44,)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "visible"),
    [
        ({"SLURM_STEP_TASKS_PER_NODE": "1"}, "all"),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, "all"),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)"}, "3"),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)", "JAX_LOCAL_DEVICE_IDS": "0,1"}, "0,1"),
    ],
)
def test_a_process_that_is_alone_on_its_node_has_all_gpus_of_it(given, visible):
    code = "import jax, dlcore as dl; dl.scale.start(); print(jax.config.read('jax_cuda_visible_devices'))"
    own = {**slurm(0, free_job()), "SLURM_NTASKS": "1", "SLURM_LOCALID": "3", "JAX_PLATFORMS": "cpu", **given}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.strip() == visible, done.stderr


def test_a_pod_without_the_client_of_kubernetes_says_what_to_install():
    code = "import sys; sys.modules['kubernetes'] = None; import dlcore as dl; dl.scale.start()"
    own = os.environ | {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=own, capture_output=True, text=True, timeout=100)
    assert (
        "found no cluster" in done.stderr.splitlines()[-1] and "pip install kubernetes" in done.stderr.splitlines()[-1]
    )


def test_a_process_without_a_cluster_says_what_to_give():
    command = [sys.executable, "-c", "from dlcore.cli import main; main()", "train", "mlp", "--distributed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "found no cluster" in done.stderr and "coordinator_address='HOST:PORT'" in done.stderr
