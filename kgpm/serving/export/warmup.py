"""Requests that a server answers to itself before it takes any.

The first call of a signature is slow. TensorFlow Serving replays this file
when it loads a version: a TFRecord of `PredictionLog`, at most 1,000.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kgpm.serving.export.signatures import Signature

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def can_write_warmup() -> bool:
    """Whether TensorFlow Serving's messages are installed (`[serving]`)."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write_warmup(
    path: Path, name: str, endpoints: Mapping[str, Signature]
) -> None:
    """Writes one request for each signature, where that is possible.

    Args:
        path: of the SavedModel.
        name: of the served model.
        endpoints: its signatures.
    """
    if not can_write_warmup():
        return
    from tensorflow_serving.apis import model_pb2
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_log_pb2

    file = path / WARMUP_FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, inputs in warmup_requests(endpoints).items():
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


def warmup_requests(
    endpoints: Mapping[str, Signature],
) -> dict[str, dict[str, Any]]:
    """A small request for each signature, with a memory of this model.

    Args:
        endpoints: the signatures of a model.

    Returns:
        Arrays by the names of the inputs, by signature.
    """
    shape = endpoints["serving_default"].inputs[0].shape
    images = np.zeros([1, 1, *shape[2:]], "float32")
    known = {
        "episode": images,
        "query": images,
        "seed": np.zeros([2], "int32"),
        "steps": np.int32(2),
        "num_samples": np.int32(1),
        "batch_size": np.int32(1),
    }
    for origin in ("prior", "write"):
        if origin in endpoints:
            arguments = {
                spec.name: tf.constant(known[spec.name])
                for spec in endpoints[origin].inputs
            }
            memory = endpoints[origin].function(**arguments)
            known |= {key: value.numpy() for key, value in memory.items()}
    return {
        name: {spec.name: known[spec.name] for spec in endpoint.inputs}
        for name, endpoint in endpoints.items()
    }
