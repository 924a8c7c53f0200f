"""Clocks, counts of operations and tables for the benchmarks."""

import math
import resource
import statistics
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kgpm.layers import TransposedConvolution

MATMUL_SIZE = 2048


def seconds(
    function: Callable[[], Any], repeats: int, warmup: int = 3
) -> float:
    """Median time of a call whose result is a nest of tensors."""
    times = []
    for i in range(warmup + repeats):
        start = time.perf_counter()
        for tensor in tf.nest.flatten(function()):
            # An eager tensor may still be computed; its array may not.
            tensor.numpy()
        if i >= warmup:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def matmul_rate(repeats: int) -> float:
    """Best float32 rate of this machine's matrix product, FLOP/s."""
    size = [MATMUL_SIZE, MATMUL_SIZE]
    left, right = tf.random.normal(size), tf.random.normal(size)

    @tf.function
    def multiply() -> tf.Tensor:
        # One number comes back, so that no copy of the product is timed.
        return tf.matmul(left, right)[0, 0]

    best = min(seconds(multiply, repeats=1, warmup=1) for _ in range(repeats))
    return 2.0 * MATMUL_SIZE**3 / best


def forward_flops(layer: Any, input_shape: Sequence[int]) -> int:
    """Operations of one input's convolutions and matrix products.

    Two for each multiply-add, counted in the graph that TensorFlow traces:
    as executed, with the padding of a transposed convolution that runs as a
    plain one. Biases, norms and activations are left out.
    """
    traced = tf.function(lambda inputs: layer(inputs)).get_concrete_function(
        tf.TensorSpec([1, *input_shape])
    )
    return sum(map(_operation_flops, traced.graph.get_operations()))


def padding_flops(decoder: Any) -> int:
    """What `forward_flops` of a decoder counts beyond its architecture.

    A transposed convolution from [H, W] takes H W k^2 products a channel
    pair; as a plain one to four times the filters it takes more at the edges
    and where a phase has fewer taps.
    """
    extra, shape = 0, (None, *decoder.element_shape)
    for layer in decoder.chain:
        if isinstance(layer, TransposedConvolution):
            needed = 2 * math.prod(shape[1:]) * layer.filters
            needed *= math.prod(layer.kernel_size)
            extra += forward_flops(layer, shape[1:]) - needed
        shape = layer.compute_output_shape(shape)
    return extra


def _operation_flops(operation: Any) -> int:
    if operation.type == "MatMul":
        columns = operation.outputs[0].shape[-1]
        return 2 * columns * operation.inputs[0].shape.num_elements()
    if operation.type == "Conv2D":
        kernel = operation.inputs[1].shape
        positions = operation.outputs[0].shape.num_elements() // kernel[3]
        return 2 * positions * kernel.num_elements()
    if operation.type == "Conv2DBackpropInput":  # transposed convolution
        kernel, inputs = operation.inputs[1].shape, operation.inputs[2].shape
        positions = inputs.num_elements() // kernel[3]
        return 2 * positions * kernel.num_elements()
    return 0


def peak_memory() -> float:
    """Most memory this process has held so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, the first left-aligned, the others right-aligned."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [
            cell.rjust(width)
            for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        print("  ".join(cells).rstrip(), flush=True)
    print()
