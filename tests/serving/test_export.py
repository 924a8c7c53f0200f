"""An export answers as the live model does, whatever loads it."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm import ops
from kgpm.serving import ExportedModel
from kgpm.serving import export_model
from kgpm.serving.signatures import fingerprint
from kgpm.serving.versions import latest_version
from kgpm.serving.versions import new_version
from kgpm.serving.versions import versions
from kgpm.serving.warmup import WARMUP_FILE
from tests.models.conftest import SHAPE
from tests.models.conftest import WITHOUT_PRIOR
from tests.models.conftest import make

HERE = Path(__file__).parent
# Every episodic model, and of those without a memory one of each kind.
EXPORTED = (
    "gpm",
    "dkm",
    "km",
    "kpp",
    "kpp_dense",
    "vma",
    "vae",
    "vq_vae_pixel_cnn",
)


def requests_and_answers(model, name):
    """What to ask of an export, and what the live model says."""
    generator = np.random.default_rng(3)
    episode = (generator.random((2, 5, *SHAPE)) > 0.6).astype("float32")
    # Another number of episodes and of queries than images written.
    query = (generator.random((2, 3, *SHAPE)) > 0.6).astype("float32")
    seed = np.array([3, 4], "int32")
    value, memory = None, {}
    if model.has_memory:
        value = model.write(episode)
        memory = {f"memory_{key}": np.asarray(v) for key, v in value.items()}
        memory["memory_id"] = np.full([2], fingerprint(model), "int32")
    found = [
        (
            "serving_default",
            {"episode": episode},
            {"reconstruction": model.read(episode, value)},
        ),
        (
            "read",
            {"query": query, **memory},
            {"reconstruction": model.read(query, value)},
        ),
        (
            "denoise",
            {"query": query, "steps": np.int32(3), **memory},
            {"images": model.denoise(query, value, num_steps=3)},
        ),
    ]
    terms = model.query_terms(query, value, seed)
    terms = {k: v for k, v in terms.items() if k in model.term_names}
    found.append(
        (
            "score",
            {"query": query, "seed": seed, **memory},
            {"nelbo": ops.nelbo(terms), **terms},
        )
    )
    if name not in WITHOUT_PRIOR:
        found.append(
            (
                "generate",
                {
                    "seed": seed,
                    "steps": np.int32(2),
                    "num_samples": np.int32(4),
                    **memory,
                },
                {
                    "images": model.generate(
                        value, num_samples=4, num_steps=2, seed=seed
                    )
                },
            )
        )
    if model.has_memory:
        prior = model.prior_memory(3)
        empty = {f"memory_{key}": v for key, v in prior.items()}
        empty["memory_id"] = np.full([3], fingerprint(model), "int32")
        if model.streams:
            size = model.code_size
            empty["statistics"] = np.zeros([3, size, size])
        found += [
            ("write", {"episode": episode}, memory),
            ("prior", {"batch_size": np.int32(3)}, empty),
        ]
    if model.streams:
        statistics = np.asarray(model.update(query))
        for change in (model.update, model.forget):
            changed = change(query[:, :1], statistics)
            mean = model.write_statistics(changed)["mean"]
            found.append(
                (
                    change.__name__,
                    {
                        "episode": query[:, :1],
                        "statistics": statistics,
                        "memory_id": memory["memory_id"],
                    },
                    {
                        "statistics": changed,
                        "memory_mean": mean,
                        "memory_id": memory["memory_id"],
                    },
                )
            )
    return found


def ask(script, path, found, folder):
    """Answers of a script in a process of its own, in order."""
    arrays = {
        f"{number}/{signature}/{key}": value
        for number, (signature, inputs, *_) in enumerate(found)
        for key, value in inputs.items()
    }
    requests, answers = folder / "requests.npz", folder / "answers.npz"
    np.savez(requests, **arrays)
    extra = []
    if script == "c_api.py":
        extra.append(folder / "tensors.json")
        extra[0].write_text(json.dumps(graph_tensors(path)))
    subprocess.run(
        [sys.executable, HERE / script, path, *extra, requests, answers],
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=300,
    )
    results = [{} for _ in found]
    with np.load(answers) as arrays:
        for key in arrays.files:
            number, name = key.split("/")
            results[int(number)][name] = arrays[key]
    return results


def graph_tensors(path):
    """Names of the tensors of each signature in the graph of an export."""
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel()
    message.ParseFromString((path / "saved_model.pb").read_bytes())
    return {
        name: {
            "inputs": {k: v.name for k, v in signature.inputs.items()},
            "outputs": {k: v.name for k, v in signature.outputs.items()},
        }
        for name, signature in message.meta_graphs[0].signature_def.items()
    }


def check_answers(results, found):
    for result, (signature, _, expected) in zip(results, found, strict=True):
        assert set(result) == set(expected), (signature, result)
        for name, value in expected.items():
            value = np.asarray(value)
            assert result[name].dtype == value.dtype
            np.testing.assert_allclose(
                result[name],
                value,
                rtol=1e-5,
                atol=1e-5,
                err_msg=f"{signature} {name}",
            )


@pytest.mark.parametrize("name", EXPORTED)
def test_the_servers_loader_answers_as_the_live_model(name, tmp_path):
    """TensorFlow's C API, which TensorFlow Serving loads by."""
    model = make(name)
    path = export_model(model, tmp_path / name)
    found = requests_and_answers(model, name)
    described = json.loads((path / "signatures.json").read_text())
    assert {signature for signature, *_ in found} == set(described)
    check_answers(ask("c_api.py", path, found, tmp_path), found)


def test_no_keras_is_needed(small_export, tmp_path):
    found = requests_and_answers(make("gpm"), "gpm")
    path = latest_version(small_export)
    check_answers(ask("no_keras.py", path, found, tmp_path), found)


def refused(memory, episodes):
    """Requests that a graph must refuse, and a word of the sentence."""
    write = {"episode": episodes}
    read = {"query": episodes, **memory}
    denoise = {**read, "steps": np.int32(2)}
    generate = {
        **memory,
        "seed": np.array([1, 2], "int32"),
        "steps": np.int32(1),
        "num_samples": np.int32(1),
    }
    score = {**read, "seed": np.array([1, 2], "int32")}
    other = {"memory_id": memory["memory_id"] + 1}
    nan = np.where(episodes > 0, np.nan, 0).astype("float32")
    return [
        ("write", {"episode": nan}, "pixels of episode"),
        ("write", {"episode": episodes + 1.0}, "pixels of episode"),
        ("write", {"episode": episodes[:, :0]}, "shape"),
        ("write", {"episode": episodes[:0]}, "shape"),
        ("write", {"episode": episodes[..., :4, :]}, "shape"),
        ("write", {"episode": episodes[0]}, "shape"),
        ("read", {**read, **other}, "a memory that this model wrote"),
        ("read", {**read, "query": episodes[:1]}, "as many episodes"),
        (
            "read",
            {**read, "memory_mean": memory["memory_mean"][:, :3]},
            "memory_mean of shape",
        ),
        (
            "read",
            {**read, "memory_mean": memory["memory_mean"] * np.inf},
            "numbers in memory_mean",
        ),
        ("denoise", {**denoise, "steps": np.int32(0)}, "steps of at least 1"),
        ("denoise", {**denoise, "steps": np.int32(-1)}, "steps of at least"),
        ("denoise", {**denoise, "steps": np.int32(10**9)}, "at most 8388608"),
        ("generate", {**generate, "steps": np.int32(10**9)}, "at most"),
        ("generate", {**generate, "num_samples": np.int32(0)}, "at least 1"),
        (
            "generate",
            {**generate, "num_samples": np.int32(2**31 - 1)},
            "at most",
        ),
        ("score", {**score, "query": episodes * 0.5}, "exactly 0 or 1"),
        ("prior", {"batch_size": np.int32(0)}, "batch_size of at least 1"),
        ("prior", {"batch_size": np.int32(10**9)}, "at most"),
        (
            "update",
            {
                "episode": episodes,
                "memory_id": memory["memory_id"],
                "statistics": np.zeros([1, 10, 10]),
            },
            "statistics for as many",
        ),
        (
            "forget",
            {
                "episode": episodes,
                "memory_id": memory["memory_id"],
                "statistics": np.full([2, 10, 10], np.nan),
            },
            "numbers in statistics",
        ),
        # After all of them, it still answers.
        ("write", write, None),
    ]


def test_the_graph_refuses_what_a_server_lets_through(
    small_export, exported, episodes, tmp_path
):
    """Nothing but the graph checks a request of the C API."""
    memory = exported.call("write", {"episode": episodes})
    found = refused(memory, episodes)
    # A shape that is wholly known is checked by what takes the tensor, in
    # TensorFlow's words.
    seed, steps = np.ones([3], "int32"), np.ones([3], "int32")
    generate = next(inputs for name, inputs, _ in found if name == "generate")
    # Of two mistakes either may be found first.
    generate = {**generate, "steps": np.int32(1), "num_samples": np.int32(1)}
    found[:0] = [
        ("generate", {**generate, "seed": seed}, "shape [2]"),
        ("generate", {**generate, "steps": steps}, "scalar"),
    ]
    path = latest_version(small_export)
    results = ask("c_api.py", path, found, tmp_path)
    for result, (signature, _, words) in zip(results, found, strict=True):
        if words is None:
            assert set(result) == set(memory)
        else:
            assert words in str(result.get("error")), (signature, result)


def test_an_export_refuses_in_one_sentence(exported, episodes):
    memory = exported.call("write", {"episode": episodes})
    for signature, inputs, words in refused(memory, episodes)[:-1]:
        with pytest.raises(UserError) as raised:
            exported.call(signature, inputs)
        sentence = str(raised.value)
        assert sentence.startswith("Expected ")
        assert "eceived" in sentence
        assert "\n" not in sentence
        assert len(sentence) < 200
        assert words.split()[-1] in sentence


@pytest.mark.parametrize(
    ("signature", "inputs", "words"),
    [
        ("nope", {}, "signature_name to be one of"),
        ("prior", {}, "the inputs batch_size for prior, received none"),
        ("prior", {"batch_size": 1, "more": 2}, "received batch_size, more"),
        ("prior", {"batch_size": "one"}, "dtype int32"),
        ("prior", {"batch_size": 1.5}, "dtype int32"),
        ("prior", {"batch_size": [1]}, "shape []"),
        ("prior", {"batch_size": 2**40}, "within int32"),
        ("prior", {"batch_size": None}, "dtype int32"),
        ("write", {"episode": [[1], [1, 2]]}, "lists of different lengths"),
        ("write", {"episode": [["a"]]}, "dtype float32"),
    ],
)
def test_what_is_no_request_is_refused(exported, signature, inputs, words):
    with pytest.raises(UserError) as raised:
        exported.call(signature, inputs)
    assert words in str(raised.value)


def test_equal_seeds_give_equal_answers_from_many_threads(exported, episodes):
    """8 threads, 250 calls each: no state, and no answer of another's."""
    memory = exported.call("write", {"episode": episodes})

    def inputs(number):
        return {
            **memory,
            "seed": np.array([number, 7], "int32"),
            "steps": 1,
            "num_samples": 2,
        }

    expected = [
        exported.call("generate", inputs(n))["images"] for n in range(5)
    ]
    assert len({value.tobytes() for value in expected}) == 5
    wrong, done = [], []

    def work():
        for call in range(250):
            images = exported.call("generate", inputs(call % 5))["images"]
            if not np.array_equal(images, expected[call % 5]):
                wrong.append(call)
            done.append(call)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2000
    assert wrong == []


def test_saved_model_cli_runs_it(small_export, exported, episodes, tmp_path):
    memory = exported.call("write", {"episode": episodes})
    inputs = {"query": episodes, **memory}
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", value)
    arguments = ";".join(f"{name}={tmp_path}/{name}.npy" for name in inputs)
    command = [
        Path(sys.executable).with_name("saved_model_cli"),
        *("run", "--dir", latest_version(small_export)),
        *("--tag_set", "serve", "--signature_def", "denoise"),
        *("--inputs", arguments, "--input_exprs", "steps=3"),
        *("--outdir", tmp_path / "out"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    expected = exported.call("denoise", {**inputs, "steps": 3})
    found = np.load(tmp_path / "out" / "images.npy")
    np.testing.assert_allclose(found, expected["images"], atol=1e-5)


def test_the_memory_id_tells_models_apart():
    model = make("gpm")
    first = fingerprint(model)
    assert fingerprint(make("gpm")) == first
    assert 0 <= first < 2**31
    weights = model.get_weights()
    weights[0].flat[0] += 1e-3
    model.set_weights(weights)
    assert fingerprint(model) != first
    # The same weights under another way of reading them.
    assert fingerprint(make("gpm_per_slot")) != first


def test_warming_up_asks_every_signature(small_export, exported):
    prediction_log = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2"
    )
    path = latest_version(small_export)
    asked = []
    for record in tf.data.TFRecordDataset(str(path / WARMUP_FILE)):
        log = prediction_log.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "small"
        asked.append(request.model_spec.signature_name)
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        assert exported.call(asked[-1], inputs)
    assert sorted(asked) == sorted(exported.signatures)


def test_versions_count_up_and_are_never_overwritten(tmp_path):
    with new_version(tmp_path / "m") as (written, target):
        assert target.name == "1"
        (written / "saved_model.pb").write_text("one")
        # Half of it is no version.
        assert versions(tmp_path / "m") == []
    with new_version(tmp_path / "m", 7) as (written, target):
        (written / "saved_model.pb").write_text("seven")
    assert versions(tmp_path / "m") == [1, 7]
    assert latest_version(tmp_path / "m").name == "7"
    with new_version(tmp_path / "m") as (_, target):
        assert target.name == "8"
    with (
        pytest.raises(UserError, match="never overwritten"),
        new_version(tmp_path / "m", 7),
    ):
        pass
    assert (tmp_path / "m" / "7" / "saved_model.pb").read_text() == "seven"


def test_an_export_that_fails_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match="full disk"),
        new_version(tmp_path) as (written, _),
    ):
        (written / "saved_model.pb").write_text("half")
        raise RuntimeError("full disk")
    assert list(tmp_path.iterdir()) == []


def test_the_faster_of_two_exports_wins(tmp_path):
    with (
        pytest.raises(UserError, match="never overwritten"),
        new_version(tmp_path, 1),
    ):
        with new_version(tmp_path, 1) as (written, _):
            (written / "saved_model.pb").write_text("faster")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "faster"
    assert versions(tmp_path) == [1]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("make_folder", "words"),
    [
        (lambda path: None, "holds no export"),
        (lambda path: (path / "1").mkdir(parents=True), "versions there: 1"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, make_folder, words):
    make_folder(tmp_path / "m")
    with pytest.raises(UserError, match=words):
        ExportedModel(tmp_path / "m")


def test_a_damaged_export_is_refused(tmp_path):
    path = tmp_path / "m" / "1"
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"\0damaged")
    with pytest.raises(UserError, match="could not be loaded"):
        ExportedModel(tmp_path / "m")


def test_a_server_finds_what_it_needs(small_export):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (small_export / "models.config").read_text()
    message = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(text, message)
    (config,) = message.model_config_list.config
    assert config.name == "small"
    assert config.base_path == "/models/small"
    compose = (small_export / "docker-compose.yml").read_text()
    assert ".:/models/small:ro" in compose
    assert "127.0.0.1:8501:8501" in compose
    # What somebody changed stays.
    (small_export / "models.config").write_text(text + "# mine\n")
    from kgpm.serving.server_files import write_server_files

    write_server_files(small_export)
    assert "# mine" in (small_export / "models.config").read_text()


def test_the_card_names_every_signature(small_export, exported):
    card = (latest_version(small_export) / "README.md").read_text()
    assert card.startswith("# small, version 1\n")
    for name, signature in exported.signatures.items():
        assert f"### `{name}`" in card
        for tensors in (signature["inputs"], signature["outputs"]):
            assert all(f"`{key}`" in card for key in tensors)
    assert "Not evaluated." in card
    assert "nats per image" in card


def test_a_mixed_policy_keeps_float32_at_the_border(tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make("gpm")
    finally:
        keras.config.set_dtype_policy(policy)
    export_model(model, tmp_path / "mixed")
    signatures = ExportedModel(tmp_path / "mixed").signatures
    found = {
        spec["dtype"]
        for signature in signatures.values()
        for spec in signature["outputs"].values()
    }
    assert found == {"float32", "float64", "int32"}
