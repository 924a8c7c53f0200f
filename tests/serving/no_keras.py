"""Answers requests where Keras and TFP cannot be imported.

    python no_keras.py SAVED_MODEL REQUESTS ANSWERS

REQUESTS and ANSWERS are as in c_api.py.
"""

import sys

# What is `None` here raises ImportError when it is imported; TensorFlow's own
# lazy import of Keras bears that.
for name in ("keras", "tf_keras", "tensorflow_probability"):
    sys.modules[name] = None

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def main(path, requests, answers):
    signatures = tf.saved_model.load(path).signatures
    asked = {}
    with np.load(requests) as arrays:
        for key in arrays.files:
            number, signature, name = key.split("/")
            _, inputs = asked.setdefault(int(number), (signature, {}))
            inputs[name] = tf.constant(arrays[key])
    found = {}
    for number, (signature, inputs) in asked.items():
        outputs = signatures[signature](**inputs)
        for key, value in outputs.items():
            found[f"{number}/{key}"] = value.numpy()
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
