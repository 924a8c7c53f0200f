"""A table of small memories, lines of that of all layers.

Beside the checks of every layer each passes those of test_memory_contract.py.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from kgpm import layers
from tests.layers.layer_checks import noise

IMAGES = (5, 6, 1)


def codes_of(layer, inputs):
    """Codes of what a case is given: itself, or of images their encoder's."""
    if hasattr(layer, "encoder"):
        return layer.encoder(inputs)
    return tf.convert_to_tensor(inputs)


def write_and_sample(layer, inputs):
    if not layer.built:
        layer.build()
    codes = codes_of(layer, inputs)
    memory = layer.write(codes, seed=1, training=True)
    draw = layer.sample(codes, memory, seed=2)
    return [part for part in (memory, draw) if part is not None]


def write_sample_and_pay(layer, inputs):
    memory, draw = write_and_sample(layer, inputs)
    return memory, draw, layer.costs(memory, np.ones((2, 4), "float32"))


def write_and_generate(layer, inputs):
    memory, draw = write_and_sample(layer, inputs)
    return memory, draw, layer.sample_prior(memory, 9, seed=4)


def read_images(layer, images):
    if not layer.built:
        layer.build()
        # A black image and biases of zero meet ReLUs where they are flat.
        layer.dummies.assign(noise(*layer.dummies.shape))
    codes = layer.encoder(images)
    entries = layer.recall(layer.write(codes))
    log_posterior = layer.log_posterior(codes, entries)
    drawn = layer.draw_addressed(codes, entries, log_posterior, 2, seed=3)
    return drawn, layer.sample_prior(entries, 4, seed=4)["z"]


def address_encoder(**options):
    return layers.AddressEncoder(
        IMAGES, [2, 3], feature_size=4, address_size=3, hidden_size=6, **options
    )


def vectors(layer_class, num_weights, memory, terms=1, **config):
    """A memory of codes `[2, 4, 6]`, which are its latents too.

    Args:
        layer_class: the class.
        num_weights: of those that are trained.
        memory: shapes of what is written.
        terms: how many divergences a read costs.
        **config: arguments of the constructor but for its sizes.
    """
    return dict(
        layer_class=layer_class,
        config={"memory_size": 5, "code_size": 6, **config},
        inputs=(noise(2, 4, 6),),
        # Latents, divergences, log-ratio.
        shapes=[*memory, (2, 4, 6), *[(2, 4)] * (terms + 1)],
        num_weights=num_weights,
        call=write_and_sample,
    )


def matrix_normal(layer_class, num_weights, terms=1, num_frozen=0, **config):
    """A memory with a density, of which a write costs something too."""
    case = vectors(layer_class, num_weights, [], terms, **config)
    shapes = [(2, 5, 5), (2, 5, 6), *case["shapes"], (2, 4)]
    return {
        **case,
        "shapes": shapes,
        "num_frozen": num_frozen,
        "call": write_sample_and_pay,
    }


def keyed(layer_class, num_weights, memory, **config):
    """A memory read by keys; its heads have two numbers of spectral norm."""
    return dict(
        layer_class=layer_class,
        config={"code_size": 6, "latent_size": 3, "hidden_size": 5, **config},
        inputs=(noise(2, 4, 6),),
        # Memory, latents, kl_y and kl_z, log-ratio.
        shapes=[memory, (2, 4, 3), *[(2, 4)] * 3],
        num_weights=num_weights,
        num_frozen=4,
        call=write_and_sample,
    )


def grid(layer_class, num_weights, num_frozen=0, figures=(), **config):
    """A bottleneck of grids of 2 x 3 vectors of length 4.

    Args:
        layer_class: the class.
        num_weights: of those that are trained.
        num_frozen: of the others.
        figures: shapes of what follows the latents: divergences, log-ratio,
            losses, figures.
        **config: arguments of the constructor but for its sizes.
    """
    return dict(
        layer_class=layer_class,
        config={"grid_shape": (2, 3), "embedding_dim": 4, **config},
        inputs=(noise(2, 4, 2, 3, 4),),
        shapes=[(2, 4, 2, 3, 4), *figures],
        num_weights=num_weights,
        num_frozen=num_frozen,
        call=write_and_sample,
    )


MATRIX = [(2, 5, 6)]
# Flattened with keys in order.
SLOTS = [(2, 5), (2, 5, 6)]
# Entropy, beta, usage.
SOFT = [(2, 4), (2, 4), (2, 4), (2, 4, 7)]
# Name -> arguments of `run_layer_test`. An option of a memory adds a line.
MEMORIES = {
    "pseudo_inverse": vectors(layers.PseudoInverseMemory, 1, MATRIX),
    "pseudo_inverse_per_slot": vectors(
        layers.PseudoInverseMemory,
        2,
        MATRIX,
        posterior="per_slot",
        read_ridge="tiny",
    ),
    "pseudo_inverse_shared_noise": vectors(
        layers.PseudoInverseMemory,
        2,
        MATRIX,
        posterior="per_slot",
        shared_noise=True,
    ),
    "pseudo_inverse_newton": vectors(
        layers.PseudoInverseMemory,
        1,
        [(2, 3, 6)],
        memory_size=3,
        solver="newton",
        solver_iterations=20,
    ),
    "pseudo_inverse_lstm": vectors(
        layers.PseudoInverseMemory, 1 + 2 * 2 * 3, MATRIX, ordering="lstm"
    ),
    "pseudo_inverse_refined": vectors(
        layers.PseudoInverseMemory,
        1,
        [(2, 3, 6)],
        memory_size=3,
        write_refine_steps=2,
    ),
    "sequential": matrix_normal(layers.SequentialMemory, 2),
    "sequential_frozen": matrix_normal(
        layers.SequentialMemory,
        1,
        num_frozen=2,
        posterior="per_slot",
        learn_prior=False,
    ),
    "slots": dict(
        layer_class=layers.SlotMemory,
        config=dict(
            memory_size=5, code_size=6, observation_noise=1.3, hidden_size=6
        ),
        inputs=(noise(2, 4, 6),),
        # Draws of the prior among them, for some are of no slot.
        shapes=[*SLOTS, (2, 4, 6), *[(2, 4)] * 3, (2, 9, 6)],
        # q(u | x), g, the kinds, four of p(u | a), m_0.
        num_weights=4 + 4 + 1 + 4 + 1,
        call=write_and_generate,
    ),
    "slots_softmax": vectors(
        layers.SlotMemory,
        4,
        SLOTS,
        observation_noise=1.3,
        read="softmax",
        beta=2.0,
    ),
    "dynamic_kanerva": matrix_normal(
        layers.DynamicKanervaMemory,
        3,
        observation_noise=0.6,
        address_noise=1.5,
    ),
    "dynamic_kanerva_frozen": matrix_normal(
        layers.DynamicKanervaMemory,
        2,
        num_frozen=2,
        observation_noise=0.6,
        learn_prior=False,
        learn_observation_noise=True,
        num_opt_iters=2,
    ),
    "kanerva": matrix_normal(
        layers.KanervaMemory,
        # The prior, addresses, s, three heads, a network of keys.
        2 + 1 + 1 + 3 * 4 + 4,
        terms=2,
        key_size=4,
        hidden_size=6,
        observation_noise=0.6,
    ),
    "kanerva_fixed_noise": matrix_normal(
        layers.KanervaMemory,
        2 + 1 + 3 * 4 + 4,
        terms=2,
        key_size=4,
        hidden_size=6,
        learn_observation_noise=False,
    ),
    "block_memory": keyed(
        layers.BlockMemory,
        # Heads, writer, prior.
        2 * 6 + (4 + 3) + (2 + 3 + 2),
        (2, 12, 12, 3),
        memory_size=12,
        window_size=8,
        key_transform="bounded",
        width=4,
    ),
    "dense_memory": keyed(
        layers.DenseMemory,
        2 * 6 + 6,
        (2, 6),
        num_reads=1,
        projection_size=7,
    ),
    "dense_memory_linear": keyed(
        layers.DenseMemory,
        2 * 6 + 6,
        (2, 6),
        projection_size=7,
        activation="linear",
    ),
    "gaussian_latent": dict(
        layer_class=layers.GaussianLatent,
        config=dict(code_size=6, hidden_size=5),
        inputs=(noise(2, 4, 6),),
        shapes=[(2, 4, 6), (2, 4), (2, 4)],
        num_weights=4,
        call=write_and_sample,
    ),
    "image_memory": dict(
        layer_class=layers.ImageMemory,
        config=dict(encoder=address_encoder(), latent_size=2),
        inputs=(noise(2, 4, *IMAGES),),
        shapes=[
            # Features and maps picked, z.
            *[(2, 8, 4), (2, 8, 3, 3, 2), (2, 8, 2, 2, 3), (2, 8, 2)],
            *[(2, 4, 2)] * 3,
            (2, 4, 2),
        ],
        # Two encoders, four dense layers, the learned images.
        num_weights=2 * 14 + 8 + 1,
        call=read_images,
    ),
    "image_memory_shared": dict(
        layer_class=layers.ImageMemory,
        config=dict(
            encoder=address_encoder(share_encoder=True),
            latent_size=2,
            num_dummies=1,
        ),
        inputs=(noise(2, 4, *IMAGES),),
        shapes=[
            *[(2, 8, 4), (2, 8, 3, 3, 2), (2, 8, 2, 2, 3), (2, 8, 2)],
            *[(2, 4, 2)] * 3,
            (2, 4, 2),
        ],
        num_weights=14 + 8 + 1,
        call=read_images,
    ),
    "soft_bottleneck": grid(
        layers.SoftBottleneck, 2, figures=SOFT, memory_size=7
    ),
    "soft_bottleneck_cosine": grid(
        layers.SoftBottleneck,
        2,
        figures=SOFT,
        memory_size=7,
        similarity="cosine",
    ),
    "soft_bottleneck_reference": grid(
        layers.SoftBottleneck,
        1,
        figures=SOFT,
        memory_size=7,
        similarity="reference",
    ),
    "variational_bottleneck": grid(
        layers.VariationalBottleneck,
        2,
        figures=[(2, 4), *SOFT],
        memory_size=7,
        temperature=0.7,
    ),
    "quantized_bottleneck": grid(
        layers.QuantizedBottleneck,
        0,
        num_frozen=4,
        # kl_a, log-ratio, the commitment, usage.
        figures=[*[(2, 4)] * 3, (2, 4, 7)],
        num_embeddings=7,
    ),
    "quantized_bottleneck_pixel_cnn": grid(
        layers.QuantizedBottleneck,
        # Codes; an embedding, two blocks of four convolutions, two more.
        1 + 1 + 2 * 8 + 4,
        num_frozen=2,
        # The codebook's loss, too.
        figures=[*[(2, 4)] * 4, (2, 4, 7)],
        num_embeddings=7,
        codebook="gradient",
        prior="pixel_cnn",
        prior_width=5,
        prior_blocks=1,
    ),
    "no_bottleneck": dict(
        layer_class=layers.NoBottleneck,
        config={},
        inputs=(noise(2, 4, 2, 3, 4),),
        shapes=[(2, 4, 2, 3, 4), (2, 4)],
        num_weights=0,
        call=write_and_sample,
    ),
}


def unbuilt(name):
    """A memory of a case, whose parts that are layers are its own."""
    case = MEMORIES[name]
    config = {
        option: type(value).from_config(value.get_config())
        if isinstance(value, keras.layers.Layer)
        else value
        for option, value in case["config"].items()
    }
    return case["layer_class"](**config)


def fresh(name):
    """A memory of a case, built, with weights as after some training."""
    layer = unbuilt(name)
    layer.build()
    generator = np.random.default_rng(3)
    for weight in layer.trainable_variables:
        weight.assign_add(generator.normal(scale=0.1, size=weight.shape))
    return layer


def copy_of(layer):
    """Another by its configuration as JSON, with the same weights."""
    stored = json.dumps(keras.saving.serialize_keras_object(layer))
    # It is built as it was.
    copy = keras.saving.deserialize_keras_object(json.loads(stored))
    copy.set_weights(layer.get_weights())
    return copy
