"""Encoder, decoder and likelihood, which most models share."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from kgpm import likelihoods
from kgpm.errors import UserError
from kgpm.layers import ImageDecoder
from kgpm.layers import ImageEncoder
from kgpm.models.bound_model import BoundModel
from kgpm.models.bound_model import unpack_batch


class AutoencoderModel(BoundModel):
    """Base of the models that encode images and decode latents.

    Args:
        image_shape: `(H, W, C)`.
        code_size: length of a code.
        likelihood: a `kgpm.likelihoods.Likelihood` or its name.
        width: channels of encoder and decoder, one number or a list, finest
            scale first.
        num_blocks: residual blocks at each scale.
        normalization: `group` or `none`.
        **kwargs: of `keras.Model`.
    """

    def __init__(
        self,
        image_shape: tuple,
        code_size: int,
        likelihood: Any,
        width: Any,
        num_blocks: int,
        normalization: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.likelihood = likelihoods.get(likelihood)
        self.code_size = code_size
        self.width = width
        self.num_blocks = num_blocks
        self.normalization = normalization
        network = {
            "width": width,
            "num_blocks": num_blocks,
            "normalization": normalization,
        }
        self.encoder = ImageEncoder(
            image_shape, code_size, name="encoder", **network
        )
        self.image_shape = self.encoder.image_shape
        self.decoder = ImageDecoder(
            self.image_shape,
            code_size,
            self.likelihood.num_parameters(self.image_shape[-1]),
            name="decoder",
            **network,
        )
        self.encoder.build()
        self.decoder.build()

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`, after a look at the first batch's pixels.

        A generator or a `PyDataset` is trained on unseen.

        Grey pixels under a Bernoulli likelihood train without complaint, but
        their "bound" is none.

        Raises:
            UserError: pixels that the likelihood cannot score.
        """
        first = x
        if hasattr(x, "element_spec"):
            first = next(iter(x))
            # The order is the data set's; Keras would warn about it.
            kwargs.setdefault("shuffle", False)
        if hasattr(first, "shape") or isinstance(first, Mapping):
            images, _ = unpack_batch(first)
            self.likelihood.validate(ops.convert_to_numpy(images))
        return super().fit(x, *args, **kwargs)

    def encode(self, images: Any) -> Any:
        """Images `[B, T, H, W, C]` to codes `[B, T, code_size]`.

        Raises:
            UserError: another rank or image shape, or T = 0.
        """
        images = self.check_images(images)
        shape = ops.shape(images)
        flat = ops.reshape(images, (-1, *self.image_shape))
        return ops.reshape(self.encoder(flat), (*shape[:2], self.code_size))

    def decode(self, latents: Any) -> Any:
        """Latents `[B, T, C]` to likelihood parameters `[B, T, H, W, P]`."""
        shape = ops.shape(latents)
        flat = self.decoder(ops.reshape(latents, (-1, self.code_size)))
        return ops.reshape(flat, (*shape[:2], *flat.shape[1:]))

    def check_images(self, images: Any) -> Any:
        """Images as a tensor; a `UserError` for any other shape or T = 0."""
        images = ops.convert_to_tensor(images)
        shape = tuple(images.shape)
        if len(shape) != 5 or shape[2:] != self.image_shape or shape[1] == 0:
            sides = ", ".join(str(side) for side in self.image_shape)
            raise UserError(
                f"Expected images of shape [B, T, {sides}] with T >= 1, "
                f"received {list(shape)}."
            )
        return images

    def get_config(self) -> dict:
        config = keras.Model.get_config(self)
        config.update(
            image_shape=self.image_shape,
            code_size=self.code_size,
            likelihood=keras.saving.serialize_keras_object(self.likelihood),
            width=self.width,
            num_blocks=self.num_blocks,
            normalization=self.normalization,
        )
        return config
