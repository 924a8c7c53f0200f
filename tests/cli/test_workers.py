"""Two workers on this machine, as users start them."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kgpm import train
from kgpm.cli.main import run
from kgpm.cli.main import training_flags
from kgpm.cli.run_flags import facts_of_the_run
from kgpm.cli.workers import cluster_of
from kgpm.cli.workers import facts_of_this_worker
from kgpm.errors import UserError
from kgpm.training.workers.cluster import Cluster
from kgpm.training.workers.cluster import read_cluster
from kgpm.training.workers.rendezvous import meet
from tests.ports import free_ports

# Nothing random: two workers draw other noise than one.
SMALL = (
    "--model=grid_autoencoder",
    "--dataset=digits",
    "--image_size=8",
    "--binarize=threshold",
    "--likelihood=bernoulli",
    "--width=4,6",
    "--residual_width=4",
    "--embedding_dim=4",
    "--episode_length=4",
    # An odd number: shares of eight and seven.
    "--batch_size=15",
    "--steps_per_epoch=2",
    "--epochs=12",
    "--learning_rate=1e-2",
    "--patience=12",
    "--max_minutes=10",
    "--ema_momentum=0.5",
    "--log_images_every=0",
    "--num_importance_samples=0",
)


def flag_values(*arguments):
    return training_flags("--model_dir=unused", *arguments)


def config(ports, rank):
    workers = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": rank}
    return json.dumps({"cluster": {"worker": workers}, "task": task})


@pytest.fixture
def start():
    """Starts a worker; none outlives the test."""
    started = []

    def start_one(ports, rank, directory, *arguments):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "kgpm.train"]
                + [f"--model_dir={directory}", "--worker_timeout=100"]
                + ["--distribute=multi_worker", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "TF_CONFIG": config(ports, rank)},
            )
        )
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def start_pair(start, directories, *arguments):
    ports = free_ports(2)
    return [
        start(ports, rank, directory, *arguments)
        for rank, directory in enumerate(directories)
    ]


def wait_for_epoch(process, directory, epoch):
    path = directory / "backup" / "progress.json"
    # A machine that does much else takes its time.
    for _ in range(6000):
        if path.is_file() and json.loads(path.read_text())["epoch"] >= epoch:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    raise AssertionError(f"no epoch {epoch} in {directory}")


def state(directory):
    progress = json.loads((directory / "backup/progress.json").read_text())
    with np.load(directory / "backup" / progress["values"]) as file:
        return progress, {name: file[name] for name in file.files}


@pytest.mark.slow
def test_killed_and_resumed_workers_equal_one_device(tmp_path, start):
    alone, first = tmp_path / "alone", tmp_path / "first"
    # The hosts share no disk.
    second = tmp_path / "second"
    assert (
        run(
            "kgpm.train",
            train.main,
            train.define_flags,
            "Doc.",
            [f"--model_dir={alone}", *SMALL, "--verbose=0"],
            check=train.check,
        )
        == 0
    )

    pair = start_pair(start, (first, second), *SMALL)
    wait_for_epoch(pair[0], first, 1)
    pair[1].send_signal(signal.SIGKILL)
    _, err = pair[0].communicate(timeout=120)
    assert pair[0].returncode == 2
    assert err.startswith("kgpm.train: another worker of TF_CONFIG has ended")
    assert err.count("\n") == 1, err
    assert "--resume" in err
    killed_after = state(first)[0]["epoch"]
    assert 1 <= killed_after < 12, "it was killed too late to show anything"

    pair = start_pair(start, (first, second), *SMALL, "--resume")
    (out, err), (out_of_second, err_of_second) = (
        process.communicate(timeout=240) for process in pair
    )
    assert [process.returncode for process in pair] == [0, 0], err
    assert (err, err_of_second) == ("", "")
    assert f"Resuming after epoch {killed_after}." in out
    assert "on 2 replicas" in out
    # The first alone speaks and writes.
    assert out_of_second == ""
    assert not second.exists()

    progress, expected = state(alone)
    resumed_progress, resumed = state(first)
    assert resumed_progress["epoch"] == progress["epoch"] == 12
    assert resumed_progress["best_epoch"] == progress["best_epoch"]
    assert resumed.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(resumed[name], value, atol=1e-5)
    rows, rows_alone = (table(each) for each in (first, alone))
    for name in set(rows) - {"images_per_second"}:
        np.testing.assert_allclose(rows[name], rows_alone[name], rtol=1e-4)
    figures, figures_alone = (
        json.loads((each / "metrics.json").read_text())
        for each in (first, alone)
    )
    assert figures["num_images"] == figures_alone["num_images"]
    np.testing.assert_allclose(
        figures["figures"]["A"]["nll"]["mean"],
        figures_alone["figures"]["A"]["nll"]["mean"],
        rtol=1e-5,
    )


@pytest.mark.slow
def test_a_worker_that_ends_before_it_is_connected(tmp_path, start):
    """Each of two once waits for the other, which met it and then ended."""
    facts = facts_of_this_worker(flag_values(*SMALL))
    waiting, meetings = [], []
    with ThreadPoolExecutor() as pool:
        for rank in (0, 1):
            ports = free_ports(2)
            other = read_cluster(config(ports, 1 - rank))
            waiting.append(
                start(ports, rank, tmp_path, *SMALL, "--worker_timeout=3")
            )
            meetings.append(pool.submit(meet, other, facts, 100.0))
    for meeting in meetings:
        meeting.result()
    for process in waiting:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2, err
        assert err.startswith(
            "kgpm.train: another worker of TF_CONFIG has ended or did not "
            "answer in 3 seconds"
        )
        assert err.count("\n") == 1, err
    assert not any(tmp_path.iterdir())


def table(directory):
    with open(directory / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def test_facts_are_the_flags_of_the_result():
    facts = facts_of_the_run(flag_values("--seed=3"))
    other = facts_of_the_run(
        flag_values("--seed=4", "--verbose=2", "--data_dir=elsewhere")
    )
    differing = {name for name in facts if facts[name] != other[name]}
    assert differing == {"--seed"}
    resumed = facts_of_the_run(flag_values("--seed=3", "--resume"))
    assert resumed["--resume"] != facts["--resume"]


def test_a_cluster_is_not_taken_for_a_machine_on_its_own(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config([1, 2], 1))
    assert cluster_of(flag_values("--distribute=multi_worker")).rank == 1
    assert cluster_of(flag_values("--distribute=none")).rank == 0
    with pytest.raises(UserError, match="add --distribute=multi_worker"):
        cluster_of(flag_values())
    monkeypatch.delenv("TF_CONFIG")
    assert cluster_of(flag_values()) == ((), 0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "received nothing"),
        ('{"cluster": {"worker": ["a:1"]}}', "with type and index"),
    ],
)
def test_a_wrong_cluster_is_refused_before_anything_is_made(
    config, message, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("TF_CONFIG", config)
    code = run(
        "kgpm.train",
        train.main,
        train.define_flags,
        "Doc.",
        [f"--model_dir={tmp_path / 'run'}", "--distribute=multi_worker"],
        check=train.check,
    )
    err = capfd.readouterr().err
    assert code == 2
    assert err.startswith("kgpm.train: --distribute=multi_worker expected of")
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_others_are_told_that_the_first_refuses(
    tmp_path, monkeypatch, capfd
):
    ports = free_ports(2)
    monkeypatch.setenv("TF_CONFIG", config(ports, 0))
    (tmp_path / "something").touch()
    arguments = [f"--model_dir={tmp_path}", "--distribute=multi_worker"]
    with ThreadPoolExecutor() as pool:
        second = pool.submit(meet, read_cluster(config(ports, 1)), {}, 60.0)
        code = run(
            "kgpm.train",
            train.main,
            train.define_flags,
            "Doc.",
            arguments,
            check=train.check,
        )
        sentence = f"--model_dir={tmp_path} is not empty: add --resume"
        with pytest.raises(
            UserError, match="worker 0 does not start: "
        ) as told:
            second.result()
    assert sentence in str(told.value)
    captured = capfd.readouterr()
    assert code == 2
    assert captured.err.startswith(f"kgpm.train: {sentence}")
    assert captured.err.count("\n") == 1
    # At once, not when the second has come.
    assert captured.out.startswith(sentence)


def test_strategies_of_one_machine():
    import tensorflow as tf

    from kgpm.training.workers import strategy

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("counts on there being no GPU")
    for distribute in ("auto", "none"):
        found = strategy.local_strategy(distribute)
        assert not isinstance(found, tf.distribute.MirroredStrategy)
    mirrored = strategy.local_strategy("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy)
    for each in (found, mirrored):
        assert strategy.any_worker(each, True)
        assert not strategy.any_worker(each, False)
        (shared,) = strategy.of_first_worker(each, [np.arange(3)])
        np.testing.assert_array_equal(shared, np.arange(3))
        strategy.check_same(each, [1, 2], "images")


@pytest.mark.parametrize(
    ("distribute", "num_gpus", "mirrored"),
    [
        ("auto", 0, []),
        ("auto", 1, []),
        ("auto", 2, ["/device:GPU:0", "/device:GPU:1"]),
        ("none", 2, []),
        ("mirrored", 1, ["/device:GPU:0"]),
    ],
)
def test_gpus_decide_on_one_machine(
    distribute, num_gpus, mirrored, monkeypatch
):
    """With GPUs that are only said to be there."""
    import tensorflow as tf

    from kgpm.training.workers import strategy

    def listed(kind):
        count = num_gpus if kind == "GPU" else 1
        return [
            tf.config.LogicalDevice(f"/device:{kind}:{index}", kind)
            for index in range(count)
        ]

    asked = []
    monkeypatch.setattr(tf.config, "list_physical_devices", listed)
    monkeypatch.setattr(tf.config, "list_logical_devices", listed)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", asked.extend)
    strategy.local_strategy(distribute)
    assert asked == mirrored


@pytest.mark.parametrize(
    ("handler", "while_connecting"),
    [
        (signal.default_int_handler, signal.SIG_DFL),
        (signal.SIG_IGN, signal.SIG_IGN),
    ],
)
def test_ctrl_c_ends_a_worker_that_is_being_connected(
    handler, while_connecting, monkeypatch
):
    import tensorflow as tf

    from kgpm.training.workers import strategy

    def connect(communication_options):
        del communication_options
        found.append(signal.getsignal(signal.SIGINT))
        raise tf.errors.DeadlineExceededError(None, None, "Nobody came")

    found = []
    monkeypatch.setattr(strategy, "_limit_connecting", lambda timeout: None)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", connect)
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(tf.errors.DeadlineExceededError):
            strategy.multi_worker_strategy(1.0)
        found.append(signal.getsignal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == [while_connecting, handler]


def test_what_a_lost_worker_raises_is_one_sentence():
    import tensorflow as tf

    from kgpm.training.workers.strategy import lost_workers_named

    pair = read_cluster(config([1, 2], 1))
    for error in (tf.errors.UnavailableError, tf.errors.DeadlineExceededError):
        with pytest.raises(UserError, match="did not answer in 9 seconds"):
            with lost_workers_named(pair, 9.0):
                raise error(None, None, "Collective ops is aborted")
        with pytest.raises(error):
            with lost_workers_named(Cluster((), 0), 9.0):
                raise error(None, None, "There is no other worker")
    with pytest.raises(tf.errors.InvalidArgumentError):
        with lost_workers_named(pair, 9.0):
            raise tf.errors.InvalidArgumentError(None, None, "A defect")


def test_a_batch_has_an_episode_for_each_replica():
    class Strategy:
        num_replicas_in_sync = 4

    from kgpm.training.workers.strategy import check_shares

    check_shares(Strategy, batch_size=4, num_episodes=4)
    with pytest.raises(UserError, match="cannot share a batch of --batch_size"):
        check_shares(Strategy, batch_size=3, num_episodes=40)
    with pytest.raises(UserError, match="the 3 episodes of the training"):
        check_shares(Strategy, batch_size=32, num_episodes=3)
