"""An export answers as the live model does, whatever loads it."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgpm import ops
from kgpm.serving import ExportedModel
from kgpm.serving import export_model
from kgpm.serving.export.signatures import fingerprint
from kgpm.serving.export.versions import latest_version
from kgpm.serving.export.warmup import WARMUP_FILE
from tests.models.conftest import SHAPE
from tests.models.conftest import WITHOUT_PRIOR
from tests.models.conftest import make
from tests.serving.other_processes import ask

HERE = Path(__file__).parent
# Every episodic model, reads of GPM that hold networks, and of the models
# without a memory one of each kind.
EXPORTED = (
    "gpm",
    "gpm_attractor",
    "gpm_categorical",
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
            empty["statistics"] = np.zeros([3, *model.statistics_shape])
        found += [
            ("write", {"episode": episode}, memory),
            ("prior", {"batch_size": np.int32(3)}, empty),
        ]
    if model.streams:
        statistics = np.asarray(model.update(query))
        for change in (model.update, model.forget):
            changed = change(query[:, :1], statistics)
            after = model.write_statistics(changed)
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
                        **{f"memory_{key}": v for key, v in after.items()},
                        "memory_id": memory["memory_id"],
                    },
                )
            )
    return found


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
