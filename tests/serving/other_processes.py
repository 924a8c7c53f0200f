"""Asks an export in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


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
