"""What replicas exchange in a step, against what they compute in it.

    python -m benchmarks.all_reduce
    python -m benchmarks.all_reduce --configs configs/kpp_imagenet32.cfg

Counted, not timed: no data set is read and no step is taken. A step sums one
float32 for each parameter over the replicas; operations are those of
convolutions and matrix products, forward and backward (3 times forward).
"""

import argparse
from pathlib import Path
from typing import Any

from kgpm.cli import quiet

quiet.import_tensorflow()

import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.cli.main import training_flags  # noqa: E402
from kgpm.cli.parts import make_model  # noqa: E402
from kgpm.data.sources import get_source  # noqa: E402

CONFIGS = (
    "digits",
    "gpm_omniglot",
    "dkm_cifar10",
    "vma_omniglot",
    "vq_vae_cifar10",
    "kpp_omniglot",
    "kpp_imagenet32",
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add(
        "--configs",
        nargs="+",
        default=[f"configs/{name}.cfg" for name in CONFIGS],
    )
    add("--replicas", type=int, default=8)
    add("--gbit", type=float, default=10.0, help="Gbit/s between two replicas")
    add("--tflops", type=float, default=10.0, help="TFLOP/s of one replica")
    return parser.parse_args()


def row(config: str, arguments: argparse.Namespace) -> list[str]:
    values = training_flags("--model_dir=unused", f"--flagfile={config}")
    source = get_source(values.dataset)
    size = values.image_size or source.image_size
    model = make_model(values, (size, size, values.channels or source.channels))
    length = values.episode_length

    def terms(images: Any) -> Any:
        return model.training_terms(images, tf.ones([1, length]), 0)

    forward = timing.forward_flops(terms, (length, *model.image_shape))
    flops = 3 * values.batch_size * forward
    parameters = sum(v.shape.num_elements() for v in model.trainable_variables)
    exchanged = 4 * parameters
    count = arguments.replicas
    # A ring sends and receives this much on each replica.
    moved = 2 * (count - 1) / count * exchanged
    wire = moved * 8 / (arguments.gbit * 1e9)
    compute = flops / count / (arguments.tflops * 1e12)
    return [
        Path(config).stem,
        f"{parameters:,}",
        f"{exchanged / 1e6:.1f}",
        f"{flops / 1e9:,.0f}",
        f"{flops / exchanged:,.0f}",
        f"{1e3 * wire:.1f}",
        f"{1e3 * compute:.1f}",
    ]


def main() -> None:
    arguments = parse_arguments()
    timing.print_table(
        (
            "config",
            "parameters",
            "MB summed",
            "GFLOP a step",
            "FLOP a byte",
            "ms to sum",
            "ms to compute",
        ),
        [row(config, arguments) for config in arguments.configs],
    )
    print(
        f"The last two: {arguments.replicas} replicas that share the config's "
        f"--batch_size,\n{arguments.gbit:g} Gbit/s and {arguments.tflops:g} "
        "TFLOP/s each."
    )


if __name__ == "__main__":
    main()
