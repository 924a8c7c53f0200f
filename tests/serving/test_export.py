"""An export answers as the live model does, whatever loads it."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kgpm import ops
from kgpm.serving import export_model
from kgpm.serving.export.memory_tensors import fingerprint
from kgpm.serving.export.saved_model import shared_networks
from kgpm.serving.export.versions import latest_version
from kgpm.serving.export.warmup import WARMUP_FILE
from tests.models.conftest import SHAPE
from tests.models.conftest import make
from tests.serving.other_processes import TRAINING
from tests.serving.other_processes import ask
from tests.serving.other_processes import output_without

ALL = {"serving_default", "read", "denoise", "score"}
PRIOR = ALL | {"generate"}
MEMORY = PRIOR | {"write", "prior"}
STREAMING = MEMORY | {"update", "forget"}
# Every episodic model, reads of GPM that hold networks, and of the models
# without a memory one of each kind.
EXPORTED = {
    "gpm": STREAMING,
    "gpm_attractor": STREAMING,
    "slot_vae": STREAMING,
    "dkm": MEMORY,
    "km": MEMORY,
    "kpp": MEMORY,
    "kpp_dense": MEMORY,
    "vma": MEMORY,
    "vae": PRIOR,
    "vq_vae": PRIOR,
    "grid_autoencoder": ALL,
}


def requests_and_answers(model, signatures):
    """What to ask of an export, and what the live model says."""
    generator = np.random.default_rng(3)
    episode = (generator.random((2, 5, *SHAPE)) > 0.6).astype("float32")
    # Another number of episodes and of queries than images written.
    query = (generator.random((2, 3, *SHAPE)) > 0.6).astype("float32")
    seed = np.array([3, 4], "int32")

    def named(memory, batch=2):
        """A memory as it travels."""
        own = {"memory_id": np.full([batch], fingerprint(model), "int32")}
        return own | {f"memory_{k}": np.asarray(v) for k, v in memory.items()}

    value = model.write(episode) if "write" in signatures else None
    memory = named(value) if value else {}

    def score():
        terms = model.query_terms(query, value, seed)
        terms = {k: v for k, v in terms.items() if k in model.term_names}
        return {"nelbo": ops.nelbo(terms), **terms}

    def prior():
        shape = (
            [3, *model.memory.statistics_shape]
            if "update" in signatures
            else None
        )
        statistics = {"statistics": np.zeros(shape)} if shape else {}
        return named(model.memory.prior(3), 3) | statistics

    def changed(change):
        after = change(query[:, :1], statistics)
        return {"statistics": after, **named(model.write_statistics(after))}

    change = {}
    if "update" in signatures:
        statistics = np.asarray(model.update(query))
        change = {"episode": query[:, :1], "statistics": statistics}
        change["memory_id"] = memory["memory_id"]
    count = {"steps": np.int32(2), "num_samples": np.int32(4)}
    known = {
        "serving_default": (
            {"episode": episode},
            lambda: {"reconstruction": model.read(episode, value)},
        ),
        "read": (
            {"query": query, **memory},
            lambda: {"reconstruction": model.read(query, value)},
        ),
        "denoise": (
            {"query": query, "steps": np.int32(3), **memory},
            lambda: {"images": model.denoise(query, value, num_steps=3)},
        ),
        "score": ({"query": query, "seed": seed, **memory}, score),
        "generate": (
            {"seed": seed, **count, **memory},
            lambda: {"images": model.generate(value, 4, 2, seed)},
        ),
        "write": ({"episode": episode}, lambda: memory),
        "prior": ({"batch_size": np.int32(3)}, prior),
        "update": (change, lambda: changed(model.update)),
        "forget": (change, lambda: changed(model.forget)),
    }
    return [
        (name, inputs, answer())
        for name, (inputs, answer) in known.items()
        if name in signatures
    ]


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


def test_an_export_answers_as_the_live_model(exported):
    found = requests_and_answers(make("gpm"), STREAMING)
    results = [exported.call(name, inputs) for name, inputs, _ in found]
    check_answers(results, found)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_the_servers_loader_answers_as_the_live_model(name, tmp_path):
    """TensorFlow's C API, which TensorFlow Serving loads by."""
    model = make(name)
    path = export_model(model, tmp_path / name)
    found = requests_and_answers(model, EXPORTED[name])
    described = json.loads((path / "signatures.json").read_text())
    assert set(described) == EXPORTED[name]
    check_answers(ask(path, found, tmp_path), found)


@pytest.mark.slow
def test_no_keras_is_needed(small_export):
    code = (
        "import numpy as np\n"
        "from kgpm.serving import ExportedModel\n"
        f"model = ExportedModel({str(small_export)!r})\n"
        "print(model.read(np.ones([1, 2, 8, 8, 1]), model.prior(1)).shape)"
    )
    assert output_without(TRAINING, code) == "(1, 2, 8, 8, 1)\n"


@pytest.mark.slow
def test_saved_model_cli_runs_it(small_export, exported, images, tmp_path):
    memory = exported.call("write", {"episode": images})
    inputs = {"query": images, **memory}
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
    assert fingerprint(make("gpm_attractor")) != first


def nested(name, batch, width, dtype):
    """A model whose configuration nests that of a layer."""
    policy = {"class_name": "DTypePolicy", "config": {"name": dtype}}
    layer = {
        "class_name": "Memory",
        "config": {"name": name, "trainable": True, "width": [width]},
        "build_config": {"input_shape": (batch, 8)},
    }
    config = {"name": name, "trainable": True, "dtype": policy, "memory": layer}
    return SimpleNamespace(get_config=lambda: config, weights=[])


def test_the_memory_id_is_that_of_an_equal_model():
    """Layers are numbered as they are made, and built for what they saw."""
    first = fingerprint(nested("memory", 2, 4, "float32"))
    assert fingerprint(nested("memory_7", 3, 4, "float32")) == first
    assert fingerprint(nested("memory", 2, 5, "float32")) != first
    assert fingerprint(nested("memory", 2, 4, "bfloat16")) != first


def test_each_convolution_is_stored_once(small_export):
    """Nine signatures and two loops call an encoder or decoder."""
    path = latest_version(small_export) / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [node.op for f in graph.library.function for node in f.node_def]
    kernels = [w for w in make("gpm").weights if len(w.shape) == 4]
    assert nodes.count("Conv2D") == len(kernels) > 0


def test_a_model_is_left_as_it_was():
    model = make("gpm")
    images = np.ones((1, 2, *SHAPE), "float32")
    before = model(images)
    with pytest.raises(KeyError, match="of the caller"):
        with shared_networks(model):
            np.testing.assert_allclose(model(images), before, atol=1e-6)
            assert not inspect.ismethod(model.encoder.call)
            raise KeyError("of the caller")
    for layer in model.layers:
        assert inspect.ismethod(layer.call)
    np.testing.assert_array_equal(model(images), before)


def test_every_signature_is_called_before_anybody_asks(exported, monkeypatch):
    called = []
    call = exported.call

    def record(signature, inputs):
        called.append(signature)
        return call(signature, inputs)

    monkeypatch.setattr(exported, "call", record)
    exported.warm_up()
    assert set(called) == STREAMING


def test_warming_up_asks_every_signature(small_export, exported):
    from tensorflow_serving.apis import prediction_log_pb2 as prediction_log

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


def test_the_card_names_every_signature(small_export, exported):
    card = (latest_version(small_export) / "README.md").read_text()
    assert card.startswith("# small, version 1\n")
    for name, signature in exported.signatures.items():
        assert f"### `{name}`" in card
        for tensors in (signature["inputs"], signature["outputs"]):
            assert all(f"`{key}`" in card for key in tensors)
    assert "Not evaluated." in card
    assert "nats per image" in card


@pytest.mark.slow
def test_a_mixed_policy_keeps_float32_at_the_border(tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make("gpm")
    finally:
        keras.config.set_dtype_policy(policy)
    path = export_model(model, tmp_path / "mixed")
    signatures = json.loads((path / "signatures.json").read_text())
    found = {
        spec["dtype"]
        for signature in signatures.values()
        for spec in signature["outputs"].values()
    }
    assert found == {"float32", "float64", "int32"}
