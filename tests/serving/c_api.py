"""Answers requests by TensorFlow's C API: the loader of TensorFlow Serving.

    python c_api.py SAVED_MODEL TENSORS REQUESTS ANSWERS

Neither TensorFlow's Python nor Keras is imported. TENSORS is JSON, the names
and types of each signature's tensors in the graph. REQUESTS is an `.npz` of
arrays named `number/signature/input`; ANSWERS gets `number/output`, or
`number/error` with TensorFlow's message.
"""

import ctypes
import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np

POINTER = ctypes.c_void_p
# Numbers of TF_DataType.
DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64}


class Buffer(ctypes.Structure):
    _fields_ = [
        ("data", POINTER),
        ("length", ctypes.c_size_t),
        ("deallocator", POINTER),
    ]


class Output(ctypes.Structure):
    _fields_ = [("operation", POINTER), ("index", ctypes.c_int)]


class SavedModel:
    """A SavedModel in a session of the C API."""

    def __init__(self, path, tensors):
        folder = Path(importlib.util.find_spec("tensorflow").origin).parent
        ctypes.CDLL(
            str(folder / "libtensorflow_framework.so.2"), ctypes.RTLD_GLOBAL
        )
        self.library = ctypes.CDLL(
            str(folder / "libtensorflow_cc.so.2"), ctypes.RTLD_GLOBAL
        )
        self.tensors = tensors
        self.status = self.call("TF_NewStatus", POINTER)
        self.graph = self.call("TF_NewGraph", POINTER)
        options = self.call("TF_NewSessionOptions", POINTER)
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = self.call(
            "TF_LoadSessionFromSavedModel",
            POINTER,
            POINTER(options),
            None,
            ctypes.c_char_p(str(path).encode()),
            tags,
            ctypes.c_int(1),
            POINTER(self.graph),
            None,
            POINTER(self.status),
        )
        self.check()

    def call(self, name, result, *arguments):
        function = getattr(self.library, name)
        function.restype = result
        return function(*arguments)

    def check(self):
        status = POINTER(self.status)
        if self.call("TF_GetCode", ctypes.c_int, status):
            message = self.call("TF_Message", ctypes.c_char_p, status)
            raise RuntimeError(message.decode())

    def output(self, name):
        operation, _, index = name.rpartition(":")
        found = self.call(
            "TF_GraphOperationByName",
            POINTER,
            POINTER(self.graph),
            ctypes.c_char_p(operation.encode()),
        )
        assert found, f"no operation {operation}"
        return Output(found, int(index))

    def tensor(self, array):
        dtype = next(n for n, kind in DTYPES.items() if kind == array.dtype)
        sizes = (ctypes.c_int64 * max(array.ndim, 1))(*(array.shape or (0,)))
        tensor = self.call(
            "TF_AllocateTensor",
            POINTER,
            ctypes.c_int(dtype),
            sizes,
            ctypes.c_int(array.ndim),
            ctypes.c_size_t(array.nbytes),
        )
        data = self.call("TF_TensorData", POINTER, POINTER(tensor))
        contiguous = np.ascontiguousarray(array)
        ctypes.memmove(data, contiguous.ctypes.data, array.nbytes)
        return tensor

    def array(self, tensor):
        tensor = POINTER(tensor)
        rank = self.call("TF_NumDims", ctypes.c_int, tensor)
        shape = [
            self.call("TF_Dim", ctypes.c_int64, tensor, ctypes.c_int(axis))
            for axis in range(rank)
        ]
        size = self.call("TF_TensorByteSize", ctypes.c_size_t, tensor)
        data = self.call("TF_TensorData", POINTER, tensor)
        dtype = self.call("TF_TensorType", ctypes.c_int, tensor)
        raw = ctypes.string_at(data, size)
        return np.frombuffer(raw, DTYPES[dtype]).reshape(shape)

    def answer(self, signature, inputs):
        """Outputs of a request, by name.

        Nothing here checks shapes or types: the graph is on its own.
        """
        names = self.tensors[signature]
        feeds = (Output * len(inputs))()
        values = (POINTER * len(inputs))()
        for place, (key, array) in enumerate(inputs.items()):
            feeds[place] = self.output(names["inputs"][key])
            values[place] = self.tensor(array)
        fetches = (Output * len(names["outputs"]))()
        results = (POINTER * len(names["outputs"]))()
        for place, name in enumerate(names["outputs"].values()):
            fetches[place] = self.output(name)
        self.call(
            "TF_SessionRun",
            None,
            POINTER(self.session),
            None,
            feeds,
            values,
            ctypes.c_int(len(inputs)),
            fetches,
            results,
            ctypes.c_int(len(names["outputs"])),
            None,
            ctypes.c_int(0),
            None,
            POINTER(self.status),
        )
        self.check()
        return {
            key: self.array(tensor)
            for key, tensor in zip(names["outputs"], results, strict=True)
        }


def main(path, tensors, requests, answers):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    model = SavedModel(path, json.loads(Path(tensors).read_text()))
    asked = {}
    with np.load(requests) as arrays:
        for key in arrays.files:
            number, signature, name = key.split("/")
            _, inputs = asked.setdefault(int(number), (signature, {}))
            inputs[name] = arrays[key]
    found = {}
    for number, (signature, inputs) in asked.items():
        try:
            outputs = model.answer(signature, inputs)
        except RuntimeError as error:
            outputs = {"error": np.asarray(str(error))}
        found |= {f"{number}/{key}": value for key, value in outputs.items()}
    assert not {"tensorflow", "keras"} & set(sys.modules)
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
