"""Speed of training on this machine: images/s and share of its peak.

    python -m benchmarks.train_step --dtype_policy=mixed_bfloat16
    python -m benchmarks.train_step --model=vq_vae --image_size=32 --channels=3

The images are noise of the right kind: binary for 28x28x1, 8-bit for RGB.
"""

import argparse
import time
from typing import Any

import numpy as np

from kgpm.cli import quiet

quiet.import_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from benchmarks import timing  # noqa: E402
from kgpm.cli import parts  # noqa: E402
from kgpm.cli.main import training_flags  # noqa: E402
from kgpm.data import ImageSet  # noqa: E402
from kgpm.data import episodes  # noqa: E402


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add(
        "--model",
        default="gpm",
        choices=("gpm", "sequential_gpm", "memory_vae", "vq_vae"),
    )
    add("--batch_size", type=int, default=32, help="episodes")
    add("--episode_length", type=int, default=32, help="images")
    add("--image_size", type=int, default=28, help="pixels")
    add("--channels", type=int, default=1, choices=(1, 3))
    add(
        "--likelihood",
        help="of gpm; default: bernoulli, RGB: discretized_logistic",
    )
    add("--width", type=int, default=16, help="channels of gpm's networks")
    add("--memory_size", type=int, default=32, help="K")
    add("--code_size", type=int, default=100, help="C")
    add("--solver", default="ridge", help="of gpm")
    add(
        "--dtype_policy",
        default="float32",
        choices=("float32", "mixed_bfloat16"),
    )
    add("--repeats", type=int, default=20, help="timed calls of a phase")
    add("--quick", action="store_true", help="tiny: whether it runs at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batch_size, arguments.repeats = 2, 2
    if arguments.likelihood is None:
        rgb = arguments.channels == 3
        arguments.likelihood = "discretized_logistic" if rgb else "bernoulli"
    return arguments


def make_model(arguments: argparse.Namespace) -> Any:
    size = arguments.image_size
    names = ["model"]
    if "gpm" in arguments.model:
        names += ["memory_size", "code_size", "likelihood", "width"]
    if arguments.model == "gpm":
        names.append("solver")
    given = [f"--{name}={getattr(arguments, name)}" for name in names]
    return parts.make_model(
        training_flags("--model_dir=unused", *given),
        (size, size, arguments.channels),
    )


def image_set(arguments: argparse.Namespace, number: int) -> ImageSet:
    size = arguments.image_size
    images = np.random.default_rng(0).integers(
        0, 256, (number, size, size, arguments.channels), dtype=np.uint8
    )
    if arguments.likelihood == "bernoulli":
        images = np.where(images > 127, 255, 0).astype(np.uint8)
    return ImageSet(images, None, "synthetic", "train", "noise")


def pipeline_seconds(arguments: argparse.Namespace) -> float:
    """Time of the data pipeline for one batch, once its cache is warm."""
    batches = max(4, arguments.repeats)
    images = arguments.batch_size * arguments.episode_length
    dataset = episodes(
        image_set(arguments, batches * images),
        split="train",
        episode_length=arguments.episode_length,
        batch_size=arguments.batch_size,
        repeat=True,
    )
    iterator = iter(dataset)
    next(iterator)  # builds the iterator and fills the buffers
    # Two epochs, so that what was read ahead hardly counts.
    start = time.perf_counter()
    for _ in range(2 * batches):
        next(iterator)
    return (time.perf_counter() - start) / (2 * batches)


def main() -> None:
    arguments = parse_arguments()
    # Models take their precision from the global policy.
    keras.config.set_dtype_policy(arguments.dtype_policy)
    size, channels = arguments.image_size, arguments.channels
    batch, length = arguments.batch_size, arguments.episode_length
    number = batch * length
    model = make_model(arguments)
    model.compile(keras.optimizers.AdamW(3e-4, global_clipnorm=10.0))
    pixels = image_set(arguments, number).images / np.float32(255.0)
    images = tf.constant(pixels.reshape(batch, length, size, size, channels))
    data = {"images": images, "weights": tf.ones([batch, length])}
    codes = model.encode(images)
    parameters = model.decode(model.memory.latents_of(codes))
    seed = tf.constant([0, 0])

    step = tf.function(lambda: model.train_step(data))
    encode = tf.function(lambda: model.encode(images))
    decode = tf.function(lambda: model.decode(codes))
    score = tf.function(
        lambda: model.likelihood.log_prob(images, parameters, seed)
    )

    def write_read() -> tf.Tensor:
        """From codes to latents: by a memory, or through a bottleneck."""
        memory = model.memory.write(codes) if model.memory.stores else None
        return model.sample_latents(codes, memory, seed, True).latents

    @tf.function
    def latent_gradients() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(codes)
            latents = write_read()
        return tape.gradient(latents, codes)

    repeats = arguments.repeats
    # Before and after: on a shared machine the rate itself moves.
    rate = timing.matmul_rate(repeats)
    phases = {
        "encoder, forward": timing.seconds(encode, repeats),
        "decoder, forward": timing.seconds(decode, repeats),
        "likelihood, forward": timing.seconds(score, repeats),
        "codes to latents, forward": timing.seconds(
            tf.function(write_read), repeats
        ),
        "codes to latents, and backward": timing.seconds(
            latent_gradients, repeats
        ),
        "data pipeline": pipeline_seconds(arguments),
    }
    full = phases["full training step"] = timing.seconds(step, repeats)
    rate = max(rate, timing.matmul_rate(repeats))

    of_gpm = (
        f"width={arguments.width}, K={arguments.memory_size}, "
        f"C={arguments.code_size}, {arguments.likelihood}, "
    )
    print(
        f"{type(model).__name__} {size}x{size}x{channels}, B={batch}, "
        f"T={length}, {of_gpm if model.memory.stores else ''}"
        f"{arguments.dtype_policy}\n"
    )
    timing.print_table(
        ("phase", "ms", "share of step"),
        [
            (name, f"{1e3 * value:.2f}", f"{value / full:.1%}")
            for name, value in phases.items()
        ],
    )
    encoder_flops = timing.forward_flops(model.encoder, model.image_shape)
    decoder_flops = timing.forward_flops(model.decode, codes.shape[2:])
    # Only what the architecture needs counts as work done.
    decoder_flops -= timing.padding_flops(model.decoder)
    # The decoder may also run on the codes themselves.
    passes = 1 + ("autoencoder" in model.auxiliary_weights)
    # Backward, one product for the inputs and one for the kernels: 3 in all.
    # The first convolution needs none for its inputs, and the memory's own
    # work is left out: the two errors are about 1% and of opposite sign.
    flops = 3 * number * (encoder_flops + passes * decoder_flops)
    timing.print_table(
        ("figure", "value"),
        [
            ("training, images/s", f"{number / full:.0f}"),
            ("MFLOP/image, training", f"{flops / number / 1e6:.2f}"),
            ("GFLOP/s, training", f"{flops / full / 1e9:.1f}"),
            ("GFLOP/s, float32 matmul", f"{rate / 1e9:.1f}"),
            ("share of the matmul rate", f"{flops / full / rate:.1%}"),
            ("peak memory, MB", f"{timing.peak_memory():.0f}"),
        ],
    )


if __name__ == "__main__":
    main()
