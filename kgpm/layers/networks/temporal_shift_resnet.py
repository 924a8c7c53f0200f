"""ResNet18 over the images of an episode."""

from typing import Any

import keras
from keras import ops

from kgpm.errors import UserError
from kgpm.errors import check_choice
from kgpm.errors import check_sizes
from kgpm.layers.networks.batch_normalization import BatchNormalization
from kgpm.layers.networks.blocks import build_chain
from kgpm.layers.networks.blocks import call_chain
from kgpm.layers.networks.image_networks import Encoder
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.temporal_shift_block import TemporalShiftBlock

_STAGES = 4


@keras.saving.register_keras_serializable(package="kgpm")
class TemporalShiftResNet(Encoder):
    """TSM-ResNet18: each image is encoded in sight of its neighbours.

    Four stages of basic blocks with width, 2, 4 and 8 times as many channels,
    halving the sides from the second on; average pooling. In each block a
    share of the channels comes from the next image and one from the image
    before (`kgpm.ops.temporal_shift` over the whole episode), so that codes
    depend on the order of an episode. `shift_fraction=0` is plain ResNet18.

    Args:
        image_shape: `(H, W, channels)`.
        code_size: length of a code. By default the pooled features
            themselves, `8 width` numbers; where it differs, a linear layer of
            them.
        width: channels of the first stage; 64 in ResNet18.
        num_blocks: blocks in each stage; 2 in ResNet18.
        stem: `standard` (7x7 convolution of stride 2 and max pooling of
            stride 2: 28 - 14 - 7) or `small` (3x3 convolution, for images
            that the other would leave nothing of).
        shift_fraction: share of the channels that moves each way.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        images: `[B, T, H, W, channels]` in [0, 1].
        weights: `[B, T]`, 0 for an absent image, which no other image sees.
        training: whether batch normalisation takes the batch's statistics.

    Returns:
        Codes `[B, T, code_size]`, float32 under every dtype policy.

    Raises:
        UserError: images too small for the stem, or sizes below 1.

    Source: He et al., "Deep Residual Learning", 2016; Lin et al., "TSM",
    2019; as the encoder: Ramapuram et al., "Kanerva++", ICLR 2021.
    """

    mixes_images = True

    def __init__(
        self,
        image_shape: tuple,
        code_size: int | None = None,
        width: int = 64,
        num_blocks: int = 2,
        stem: str = "standard",
        shift_fraction: float = 0.125,
        **kwargs: Any,
    ) -> None:
        shape = check_image_shape(image_shape)
        check_choice("stem", stem, ("standard", "small"))
        check_sizes(width=width, num_blocks=num_blocks)
        if code_size is not None:
            check_sizes(code_size=code_size)
        super().__init__(**kwargs)
        self.image_shape = shape
        self.stem = stem
        features = width * 2 ** (_STAGES - 1)
        self.code_size = features if code_size is None else code_size
        self.has_head = self.code_size != features
        policy = self.dtype_policy
        large = stem == "standard"
        self.stem_padding = keras.layers.ZeroPadding2D(
            3 if large else 1, dtype=policy
        )
        self.stem_convolution = keras.layers.Conv2D(
            width,
            7 if large else 3,
            strides=2 if large else 1,
            use_bias=False,
            dtype=policy,
            name="stem_convolution",
        )
        self.stem_norm = BatchNormalization(dtype=policy, name="stem_norm")
        # After a ReLU zeros are as good as the minus infinity of a pooling.
        self.pool = [
            keras.layers.ZeroPadding2D(1, dtype=policy),
            keras.layers.MaxPooling2D(3, strides=2, dtype=policy),
        ][: 2 * large]
        self.blocks = [
            TemporalShiftBlock(
                width * 2**stage,
                2 if stage > 0 and block == 0 else 1,
                shift_fraction,
                dtype=policy,
                name=f"block_{stage}_{block}",
            )
            for stage in range(_STAGES)
            for block in range(num_blocks)
        ]
        self.head = keras.layers.Dense(
            self.code_size, dtype="float32", name="head"
        )
        self._check_sides()

    def build(self, input_shape: tuple | None = None) -> None:
        stem = [self.stem_padding, self.stem_convolution, self.stem_norm]
        shape = (None, *self.image_shape)
        shape = build_chain([*stem, *self.pool, *self.blocks], shape)
        if self.has_head:
            self.head.build((None, None, shape[-1]))
        self.built = True

    def call(
        self, images: Any, weights: Any = None, training: bool | None = None
    ) -> Any:
        length = ops.shape(images)[1]
        hidden = ops.reshape(images, (-1, *self.image_shape))
        hidden = self.stem_convolution(self.stem_padding(hidden))
        present = None if weights is None else ops.reshape(weights, (-1,))
        hidden = ops.relu(self.stem_norm(hidden, present, training=training))
        hidden = call_chain(self.pool, hidden)
        for block in self.blocks:
            hidden = block(
                hidden, length=length, weights=weights, training=training
            )
        pooled = ops.mean(ops.cast(hidden, "float32"), axis=(1, 2))
        codes = self.head(pooled) if self.has_head else pooled
        return ops.reshape(codes, (-1, length, self.code_size))

    def _stem_sides(self) -> tuple[int, int]:
        # Two convolutions or poolings of stride 2, each padded by half its
        # kernel, halve a side and round up.
        shrink = 4 if self.stem == "standard" else 1
        height, width = self.image_shape[:2]
        return -(-height // shrink), -(-width // shrink)

    def _check_sides(self) -> None:
        """The last stage must have something left to halve."""
        side = min(self._stem_sides())
        for _ in range(_STAGES - 2):
            side = -(-side // 2)
        if side < 2:
            least = 4 * 4 + 1 if self.stem == "standard" else 4 + 1
            advice = "a larger image"
            if self.stem == "standard":
                advice = "stem='small' or a larger image"
            raise UserError(
                f"Expected images with sides of at least {least} pixels for "
                f"stem={self.stem!r}, received {self.image_shape[0]} x "
                f"{self.image_shape[1]}: take {advice}."
            )
