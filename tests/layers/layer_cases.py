"""A table of small layers, for the checks of test_all_layers.py."""

import keras
import numpy as np

from kgpm import layers
from tests.layers.layer_checks import noise
from tests.layers.memory_cases import MEMORIES


def read_slots(layer, codes, mean, count):
    """A draw, one without a code's own slot, a draw of the prior, a read."""
    if not layer.built:
        layer.build()
    memory = {"mean": mean, "count": count}
    others = {"mean": mean, "count": noise(2, 4, 3) > 0.0}
    others["count"] = others["count"].astype("float32")
    return (
        layer.sample(codes, memory, seed=2),
        layer.sample(codes, others, seed=3),
        layer.sample_prior(memory, 5, seed=4),
        layer.read(codes, memory),
    )


def draw_address(layer, codes, memory_mean):
    return layer(codes, memory_mean, seed=3)


def quantize(layer, inputs):
    return layer(inputs), sum(layer.losses)


def decode_entry(layer, z, features, *skips):
    return layer({"z": z, "features": features, "skips": skips})


ADDRESS = (noise(2, 3, 6), noise(2, 4, 6))
DRAW = [(2, 3, 4), (2, 3), (2, 3)]
# Name -> arguments of `run_layer_test`, and whether `run_model_test` takes
# them. A new layer adds a line here.
CASES = {
    **MEMORIES,
    "address_per_slot": dict(
        layer_class=layers.AddressPosterior,
        config=dict(memory_size=4, observation_noise=0.5, posterior="per_slot"),
        inputs=ADDRESS,
        shapes=DRAW,
        num_weights=1,
        call=draw_address,
    ),
    "address_analytic": dict(
        layer_class=layers.AddressPosterior,
        config=dict(memory_size=4, observation_noise=0.5, posterior="analytic"),
        inputs=ADDRESS,
        shapes=DRAW,
        num_weights=0,
        call=draw_address,
    ),
    "address_encoder": dict(
        layer_class=layers.AddressEncoder,
        config=dict(
            image_shape=(10, 9, 1),
            width=[2, 3],
            feature_size=4,
            address_size=3,
            hidden_size=6,
        ),
        inputs=(noise(2, 3, 10, 9, 1),),
        # The nest is flattened with its keys in order.
        shapes=[
            *[(2, 3, 3), (2, 3, 4), (2, 3, 10, 9, 1)],
            *[(2, 3, 5, 5, 2), (2, 3, 3, 3, 3)],
        ],
        num_weights=2 * 14 + 4,
    ),
    "address_encoder_shared": dict(
        layer_class=layers.AddressEncoder,
        config=dict(
            image_shape=(5, 6, 1),
            width=2,
            feature_size=4,
            address_size=3,
            hidden_size=6,
            share_encoder=True,
        ),
        inputs=(noise(4, 5, 6, 1),),
        shapes=[(4, 3), (4, 4), (4, 5, 6, 1), (4, 3, 3, 2), (4, 2, 2, 2)],
        num_weights=14 + 4,
    ),
    "categorical_read": dict(
        layer_class=layers.CategoricalRead,
        config=dict(
            memory_size=3, code_size=5, observation_noise=1.3, hidden_size=6
        ),
        inputs=(noise(2, 4, 5), noise(2, 3, 5), np.ones((2, 3), "float32")),
        # Latents, kl_a and kl_z, log-ratio, twice; draws, read-outs.
        shapes=[*[(2, 4, 5), *[(2, 4)] * 3] * 2, (2, 5, 5), (2, 4, 5)],
        # q(u | x), g, the kinds, four of p(u | a), m_0.
        num_weights=4 + 4 + 1 + 4 + 1,
        call=read_slots,
    ),
    "gaussian_head": dict(
        layer_class=layers.GaussianHead,
        config=dict(size=3, hidden_size=8),
        inputs=(noise(2, 4, 5),),
        shapes=[(2, 4, 3), (2, 4, 3)],
        num_weights=4,
    ),
    "gaussian_head_spectral": dict(
        layer_class=layers.GaussianHead,
        config=dict(
            size=3,
            hidden_size=8,
            num_hidden=2,
            activation="linear",
            spectral=True,
        ),
        inputs=(noise(2, 4, 5),),
        shapes=[(2, 4, 3), (2, 4, 3)],
        num_weights=6,
        num_frozen=2,
    ),
    "grid_decoder": dict(
        layer_class=layers.GridDecoder,
        config=dict(
            image_shape=(8, 12, 1),
            embedding_dim=5,
            num_parameters=2,
            width=[4, 6],
            residual_width=3,
        ),
        inputs=(noise(2, 3, 2, 3, 5),),
        shapes=[(2, 3, 8, 12, 2)],
        num_weights=2 + 4 + 4,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "grid_encoder": dict(
        layer_class=layers.GridEncoder,
        config=dict(
            image_shape=(8, 12, 1),
            embedding_dim=5,
            width=[4, 6],
            residual_width=3,
        ),
        inputs=(noise(2, 3, 8, 12, 1),),
        shapes=[(2, 3, 2, 3, 5)],
        num_weights=6 + 4 + 2,
        bfloat16="float32",
        in_a_model=True,
    ),
    "pixel_cnn": dict(
        layer_class=layers.PixelCNN,
        config=dict(num_values=4, grid_shape=(3, 2), width=5, num_blocks=1),
        inputs=(np.arange(24, dtype="int32").reshape(4, 3, 2) % 4,),
        shapes=[(4, 3, 2, 4)],
        # An embedding, two blocks of four convolutions, two more.
        num_weights=1 + 2 * 8 + 4,
    ),
    "residual_stack": dict(
        layer_class=layers.ResidualStack,
        config=dict(width=4, hidden_width=3),
        inputs=(noise(2, 5, 6, 4),),
        shapes=[(2, 5, 6, 4)],
        num_weights=4,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "residual_stack_shared": dict(
        layer_class=layers.ResidualStack,
        config=dict(width=4, hidden_width=3, num_blocks=3, share_blocks=True),
        inputs=(noise(2, 5, 6, 4),),
        shapes=[(2, 5, 6, 4)],
        num_weights=2,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "soft_memory": dict(
        layer_class=layers.SoftMemory,
        config=dict(memory_size=6, embedding_dim=4),
        inputs=(noise(2, 3, 4),),
        shapes=[(2, 3, 4)],
        num_weights=2,
        in_a_model=True,
    ),
    "soft_memory_cosine": dict(
        layer_class=layers.SoftMemory,
        config=dict(memory_size=6, embedding_dim=4, similarity="cosine"),
        inputs=(noise(2, 3, 4),),
        shapes=[(2, 3, 4)],
        num_weights=2,
        in_a_model=True,
    ),
    "soft_memory_reference": dict(
        layer_class=layers.SoftMemory,
        config=dict(memory_size=6, embedding_dim=4, similarity="reference"),
        inputs=(noise(2, 3, 4),),
        shapes=[(2, 3, 4)],
        num_weights=1,
        in_a_model=True,
    ),
    "vector_quantizer": dict(
        layer_class=layers.VectorQuantizer,
        config=dict(num_embeddings=6, embedding_dim=4),
        inputs=(noise(2, 3, 4),),
        shapes=[(2, 3, 4), ()],
        num_weights=1,
        num_frozen=2,
        call=quantize,
    ),
    "vector_quantizer_ema": dict(
        layer_class=layers.VectorQuantizerEMA,
        config=dict(num_embeddings=6, embedding_dim=4, epsilon=1e-4),
        inputs=(noise(2, 3, 4),),
        shapes=[(2, 3, 4)],
        num_weights=0,
        num_frozen=4,
        in_a_model=True,
    ),
    "entry_decoder": dict(
        layer_class=layers.EntryDecoder,
        config=dict(
            image_shape=(28, 25, 1),
            latent_size=5,
            feature_size=3,
            num_parameters=2,
            width=[4, 6],
            context_size=7,
        ),
        inputs=(
            *[noise(2, 3, 5), noise(2, 3, 3)],
            *[noise(2, 3, 14, 13, 4), noise(2, 3, 7, 7, 6)],
        ),
        shapes=[(2, 3, 28, 25, 2)],
        num_weights=2 + 4 + 3 * 4 + 2,
        call=decode_entry,
        bfloat16="bfloat16",
    ),
    "evo_norm": dict(
        layer_class=layers.EvoNormS0,
        config=dict(groups=2, epsilon=1e-3),
        inputs=(noise(2, 5, 4, 6),),
        shapes=[(2, 5, 4, 6)],
        num_weights=3,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "group_normalization": dict(
        layer_class=layers.GroupNormalization,
        config=dict(groups=2, epsilon=1e-2),
        inputs=(noise(2, 5, 4, 6),),
        shapes=[(2, 5, 4, 6)],
        num_weights=2,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "encoder": dict(
        layer_class=layers.ImageEncoder,
        config=dict(
            image_shape=(9, 12, 2), code_size=5, width=[2, 4], num_blocks=2
        ),
        inputs=(noise(2, 9, 12, 2),),
        shapes=[(2, 5)],
        num_weights=2 * 2 + 2 * 2 * 2 * 3 + 2,
        bfloat16="float32",
        in_a_model=True,
    ),
    "encoder_without_normalization": dict(
        layer_class=layers.ImageEncoder,
        config=dict(
            image_shape=(8, 8, 1), code_size=5, width=2, normalization="none"
        ),
        inputs=(noise(2, 8, 8, 1),),
        shapes=[(2, 5)],
        num_weights=2 + 4 + 2,
        bfloat16="float32",
    ),
    "decoder": dict(
        layer_class=layers.ImageDecoder,
        config=dict(
            image_shape=(9, 12, 2),
            code_size=5,
            num_parameters=3,
            width=[2, 4],
            num_blocks=2,
        ),
        inputs=(noise(2, 5),),
        shapes=[(2, 9, 12, 3)],
        num_weights=2 + 2 * 2 * 2 * 3 + 2 * 2,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "lstm": dict(
        layer_class=layers.OrderingLSTM,
        config=dict(code_size=4),
        inputs=(noise(2, 3, 4),),
        shapes=[(2, 3, 4)],
        num_weights=2 * 2 * 3,
        in_a_model=True,
    ),
    "softmax_read": dict(
        layer_class=layers.SoftmaxRead,
        config=dict(
            memory_size=3, code_size=5, observation_noise=1.3, beta=2.0
        ),
        inputs=(noise(2, 4, 5), noise(2, 3, 5), np.ones((2, 3), "float32")),
        shapes=[*[(2, 4, 5), (2, 4), (2, 4)] * 2, (2, 5, 5), (2, 4, 5)],
        num_weights=4,
        call=read_slots,
    ),
    "residual_block": dict(
        layer_class=layers.ResidualBlock,
        config=dict(width=4),
        inputs=(noise(2, 5, 3, 4),),
        shapes=[(2, 5, 3, 4)],
        num_weights=6,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "per_image": dict(
        layer_class=layers.PerImage,
        config=dict(layer=keras.layers.Conv2D(4, 3)),
        inputs=(noise(2, 3, 5, 6, 2),),
        shapes=[(2, 3, 3, 4, 4)],
        num_weights=2,
        in_a_model=True,
    ),
    "spectral_dense": dict(
        layer_class=layers.SpectralDense,
        config=dict(units=3, activation="relu"),
        inputs=(noise(2, 4, 5),),
        shapes=[(2, 4, 3)],
        num_weights=2,
        num_frozen=1,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "temporal_shift_block": dict(
        layer_class=layers.TemporalShiftBlock,
        config=dict(width=6, stride=2, shift_fraction=0.25),
        inputs=(noise(6, 5, 4, 4),),
        shapes=[(6, 3, 2, 6)],
        num_weights=3 + 3 * 2,
        num_frozen=3 * 2,
        bfloat16="bfloat16",
        call=lambda layer, images: layer(images, length=3),
    ),
    "temporal_shift_resnet": dict(
        layer_class=layers.TemporalShiftResNet,
        config=dict(
            image_shape=(9, 12, 2),
            code_size=5,
            width=4,
            num_blocks=1,
            stem="small",
        ),
        inputs=(noise(2, 3, 9, 12, 2),),
        shapes=[(2, 3, 5)],
        num_weights=3 + (6 + 3 * 9) + 2,
        num_frozen=2 + 4 + 3 * 6,
        bfloat16="float32",
        in_a_model=True,
    ),
    "trace_prior": dict(
        layer_class=layers.TracePrior,
        config=dict(window_size=8, channels=2, latent_size=3, width=4),
        inputs=(noise(2, 3, 8, 8, 2),),
        shapes=[(2, 3, 3), (2, 3, 3)],
        num_weights=2 + 3 + 2,
    ),
    "transposed_decoder": dict(
        layer_class=layers.TransposedDecoder,
        config=dict(
            image_shape=(9, 12, 2), code_size=5, num_parameters=3, width=2
        ),
        inputs=(noise(2, 5),),
        shapes=[(2, 9, 12, 3)],
        num_weights=4 + 3,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
    "transposed_convolution": dict(
        layer_class=layers.TransposedConvolution,
        config=dict(filters=3, kernel_size=(3, 4), crop=(1, 2)),
        inputs=(noise(2, 4, 3, 2),),
        shapes=[(2, 7, 4, 3)],
        num_weights=2,
        bfloat16="bfloat16",
        in_a_model=True,
    ),
}
