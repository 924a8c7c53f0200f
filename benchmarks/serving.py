"""Latency and throughput of each signature: in process, gRPC, REST.

    python -m benchmarks.serving --model_dir=runs/digits

"bare" is a tf.function of the Keras model that does the same work, in the same
process and run, and the others have ratios to it: the SavedModel in this
process, and a server beside it (python -m kgpm.serve) over KServe's gRPC with
raw tensors, over REST with binary tensors (kgpm.serving.Client) and over
TensorFlow Serving's REST, which is JSON. All take and give NumPy. The clients
are threads of this process, so that several of them wait for each other's
Python.
"""

import argparse
import contextlib
import gc
import itertools
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import grpc  # noqa: E402
import numpy as np  # noqa: E402
import orjson  # noqa: E402
import tensorflow as tf  # noqa: E402
import urllib3  # noqa: E402
from kserve import InferInput  # noqa: E402
from kserve import InferRequest  # noqa: E402
from kserve import InferResponse  # noqa: E402
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (  # noqa: E402
    GRPCInferenceServiceStub,
)
from kserve.utils.numpy_codec import from_np_dtype  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.models import GPM  # noqa: E402
from kgpm.serving import Client  # noqa: E402
from kgpm.serving import ExportedModel  # noqa: E402
from kgpm.serving import export_model  # noqa: E402
from kgpm.training.stored_model import load_model  # noqa: E402

NAME = "model"
Arrays = dict[str, np.ndarray]
# One call of a signature: inputs in, outputs out.
Way = Callable[[str, Arrays], Arrays]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--model_dir", help="of a run; a GPM of random weights without it")
    add("--episodes", type=int, default=1, help="in a request")
    add("--images", type=int, default=32, help="in an episode, and queries")
    add("--steps", type=int, default=10, help="of denoise and generate")
    add("--clients", type=int, nargs="+", default=(1, 8))
    add("--repeats", type=int, default=200, help="timed calls of a client")
    add("--signatures", nargs="+", help="all by default")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.images, arguments.steps, arguments.repeats = 4, 2, 3
    return arguments


def bare_functions(model: Any) -> dict[str, Callable[..., Any]]:
    """Signature -> the model's own work, of tensors by their names."""

    def memory_of(inputs: dict[str, Any]) -> Any:
        return {
            name.removeprefix("memory_"): value
            for name, value in inputs.items()
            if name.startswith("memory_") and name != "memory_id"
        } or None

    def changed(change: Any, inputs: dict[str, Any]) -> Any:
        statistics = change(inputs["episode"], inputs["statistics"])
        return {**model.write_statistics(statistics), "statistics": statistics}

    functions: dict[str, Callable[..., Any]] = {
        "serving_default": lambda **i: model(i["episode"]),
        "read": lambda **i: model.read(i["query"], memory_of(i)),
        "denoise": lambda **i: model.denoise(
            i["query"], memory_of(i), num_steps=i["steps"]
        ),
        "score": lambda **i: model.query_terms(
            i["query"], memory_of(i), i["seed"]
        ),
        "generate": lambda **i: model.generate(
            memory_of(i), i["num_samples"], i["steps"], i["seed"]
        ),
        "write": lambda **i: model.write(i["episode"]),
        "prior": lambda **i: model.memory.prior(i["batch_size"]),
        "update": lambda **i: changed(model.update, i),
        "forget": lambda **i: changed(model.forget, i),
    }
    return {
        name: tf.function(function, autograph=False)
        for name, function in functions.items()
    }


def bare(model: Any) -> Way:
    functions = bare_functions(model)

    def call(signature: str, inputs: Arrays) -> Arrays:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = functions[signature](**tensors)
        return tf.nest.map_structure(lambda value: value.numpy(), outputs)

    return call


def over_grpc(address: str) -> Way:
    stub = GRPCInferenceServiceStub(
        grpc.insecure_channel(
            address,
            [
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
            ],
        )
    )

    def call(signature: str, inputs: Arrays) -> Arrays:
        tensors = []
        for name, value in inputs.items():
            array = np.asarray(value)
            datatype = from_np_dtype(array.dtype)
            tensors.append(InferInput(name, [*array.shape], datatype))
            tensors[-1].set_data_from_numpy(array)
        request = InferRequest(
            NAME, tensors, parameters={"signature_name": signature}
        )
        answer = InferResponse.from_grpc(stub.ModelInfer(request.to_grpc()))
        return {output.name: output.as_numpy() for output in answer.outputs}

    return call


def over_json(address: str) -> Way:
    pool = urllib3.PoolManager(maxsize=32)
    url = f"{address}/v1/models/{NAME}:predict"

    def call(signature: str, inputs: Arrays) -> Arrays:
        request = {"signature_name": signature, "inputs": inputs}
        body = orjson.dumps(request, option=orjson.OPT_SERIALIZE_NUMPY)
        answer = pool.request("POST", url, body=body)
        if answer.status != 200:
            raise RuntimeError(answer.data)
        outputs = orjson.loads(answer.data)["outputs"]
        if not isinstance(outputs, dict):
            outputs = {"": outputs}
        return {k: np.asarray(v, np.float32) for k, v in outputs.items()}

    return call


@contextlib.contextmanager
def running_server(export_dir: Path, episodes: int) -> Iterator[list[str]]:
    """Addresses of REST and gRPC of a server in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "kgpm.serve", "--port=0"]
    command += [f"--export_dir={export_dir}", f"--grpc_port={port}"]
    command += [f"--max_batch={max(64, episodes)}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError("the server did not start")
            rest = line[line.index("http://") :].partition("/v1/")[0]
            yield [rest, f"127.0.0.1:{port}"]
        finally:
            process.terminate()


def make_requests(
    exported: ExportedModel, arguments: argparse.Namespace
) -> dict[str, Arrays]:
    """Inputs of each signature; the images are noise of 0 and 1."""
    shape = (arguments.episodes, arguments.images, *exported.image_shape)
    noise = np.random.default_rng(0).integers(0, 2, shape)
    known: dict[str, Any] = {
        "episode": noise.astype("float32"),
        "query": noise.astype("float32"),
        "seed": np.zeros([2], "int32"),
        "steps": np.int32(arguments.steps),
        "num_samples": np.int32(arguments.images),
        "batch_size": np.int32(arguments.episodes),
    }
    for origin in ("prior", "write"):
        if origin in exported.signatures:
            names = exported.signatures[origin]["inputs"]
            inputs = {name: known[name] for name in names}
            known |= exported.call(origin, inputs)
    if "update" in exported.signatures:
        # What is forgotten must have been written.
        names = exported.signatures["update"]["inputs"]
        known |= exported.call("update", {name: known[name] for name in names})
    return {
        name: {key: known[key] for key in signature["inputs"]}
        for name, signature in exported.signatures.items()
    }


def call_times(
    ways: dict[str, Way], signature: str, inputs: Arrays, repeats: int
) -> dict[str, list[float]]:
    """Seconds of calls of one client; the ways take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _, (name, way) in itertools.product(range(repeats), ways.items()):
        start = time.perf_counter()
        way(signature, inputs)
        times[name].append(time.perf_counter() - start)
    return times


def loaded_times(
    way: Way, signature: str, inputs: Arrays, clients: int, repeats: int
) -> tuple[list[float], float]:
    """Seconds of the calls of several clients, and calls a second."""

    def ask(_: int) -> list[float]:
        return call_times({"": way}, signature, inputs, repeats)[""]

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [t for part in pool.map(ask, range(clients)) for t in part]
    return times, len(times) / (time.perf_counter() - start)


def measure(
    ways: dict[str, Way],
    signature: str,
    inputs: Arrays,
    arguments: argparse.Namespace,
) -> None:
    """Prints the table of a signature."""
    for way in ways.values():
        for _ in range(3):
            way(signature, inputs)
    header = [signature, "clients", "p50 ms", "p99 ms", "calls/s"]
    header += ["p50 : bare", "p50 : gRPC"]
    rows = []
    for clients in arguments.clients:
        if clients == 1:
            alone = call_times(ways, signature, inputs, arguments.repeats)
            found = {k: (t, len(t) / sum(t)) for k, t in alone.items()}
        else:
            found = {
                name: loaded_times(
                    way, signature, inputs, clients, arguments.repeats
                )
                for name, way in ways.items()
            }
        middles = {k: np.median(times) * 1e3 for k, (times, _) in found.items()}
        for name, (times, rate) in found.items():
            middle, high = middles[name], np.percentile(times, 99) * 1e3
            cells = [f"{middle:.2f}", f"{high:.2f}", f"{rate:.1f}"]
            cells += [f"{middle / middles[k]:.2f}" for k in ("bare", "gRPC")]
            rows.append([name, str(clients), *cells])
    timing.print_table(header, rows)


def main() -> None:
    arguments = parse_arguments()
    model = load_model(arguments.model_dir) if arguments.model_dir else GPM()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        export_model(model, path, max_numbers=2**28)
        exported = ExportedModel(path)
        requests = make_requests(exported, arguments)
        with running_server(path, arguments.episodes) as (rest, grpc_address):
            ways = {
                "bare": bare(model),
                "in process": exported.call,
                "gRPC": over_grpc(grpc_address),
                "REST binary": Client(rest, NAME, timeout=60.0, retries=0).call,
                "REST JSON": over_json(rest),
            }
            # The search for garbage in what TensorFlow loaded takes longer
            # than a call; servers do without it too.
            gc.collect()
            gc.freeze()
            for signature in arguments.signatures or requests:
                measure(ways, signature, requests[signature], arguments)


if __name__ == "__main__":
    main()
