"""Asks an export in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


# What a program that only asks an export needs none of.
TRAINING = ("keras", "tf_keras", "tensorflow_probability")


def output_without(modules, code):
    """What a program prints where some modules cannot be imported.

    TensorFlow's own lazy import of Keras bears that.
    """
    blocked = f"import sys\nfor m in {modules}: sys.modules[m] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(path, found, folder):
    """Answers by the C API in a process of its own, in order."""
    arrays = {
        f"{number}/{signature}/{key}": value
        for number, (signature, inputs, *_) in enumerate(found)
        for key, value in inputs.items()
    }
    requests, answers = folder / "requests.npz", folder / "answers.npz"
    tensors = folder / "tensors.json"
    np.savez(requests, **arrays)
    tensors.write_text(json.dumps(graph_tensors(path)))
    script = HERE / "c_api.py"
    subprocess.run(
        [sys.executable, script, path, tensors, requests, answers],
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
