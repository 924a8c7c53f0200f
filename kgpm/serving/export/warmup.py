"""Requests that a server answers to itself before it takes any.

The first call of a signature is slow. TensorFlow Serving replays this file
when it loads a version: a TFRecord of `PredictionLog`, at most 1,000.
"""

import importlib.util
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def can_write_warmup() -> bool:
    """Whether TensorFlow Serving's messages are installed (`[serving]`)."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write_warmup(
    path: Path, name: str, requests: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Writes the requests, where that is possible.

    Args:
        path: of the SavedModel.
        name: of the served model.
        requests: arrays by the names of the inputs, by signature.
    """
    if not can_write_warmup():
        return
    from tensorflow_serving.apis import model_pb2
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_log_pb2

    file = path / WARMUP_FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(
                    name=name, signature_name=signature
                ),
                inputs={
                    key: tf.make_tensor_proto(value)
                    for key, value in inputs.items()
                },
            )
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())


def small_requests(
    signatures: Mapping[str, Any], call: Callable[..., dict[str, np.ndarray]]
) -> dict[str, dict[str, np.ndarray]]:
    """A small request for each signature, with a memory of this model.

    Args:
        signatures: what each takes, as in `signatures.json`.
        call: answers a signature, given its name and its inputs.

    Returns:
        Arrays by the names of the inputs, by signature.
    """
    known: dict[str, np.ndarray] = {"steps": np.asarray(2, "int32")}

    def inputs(signature: str) -> dict[str, np.ndarray]:
        specs = signatures[signature]["inputs"]
        return {
            name: known[name] if name in known else _smallest(spec)
            for name, spec in specs.items()
        }

    for origin in ("prior", "write"):
        if origin in signatures:
            known |= call(origin, inputs(origin))
    return {signature: inputs(signature) for signature in signatures}


def _smallest(spec: Mapping[str, Any]) -> np.ndarray:
    """Zeros, black images or a seed; ones for a number of something."""
    shape = [1 if size < 0 else size for size in spec["shape"]]
    return np.full(shape, 0 if shape else 1, spec["dtype"])
