"""Encoder, decoder and likelihood, which most models share."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from kgpm import likelihoods
from kgpm.errors import UserError
from kgpm.layers import NORMALIZATIONS
from kgpm.layers import check_choice
from kgpm.layers import make_decoder
from kgpm.layers import make_encoder
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
        normalization: of the residual networks, `group` or `none`.
        encoder: one of `kgpm.layers.ENCODERS`.
        decoder: one of `kgpm.layers.DECODERS`.
        latent_size: length of what is decoded; by default that of a code.
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
        encoder: str = "residual",
        decoder: str = "residual",
        latent_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("normalization", normalization, NORMALIZATIONS)
        self.likelihood = likelihoods.get(likelihood)
        self.network = {
            "width": width,
            "num_blocks": num_blocks,
            "normalization": normalization,
        }
        self.encoder_name, self.decoder_name = encoder, decoder
        self.encoder = make_encoder(
            encoder, image_shape, code_size, **self.network
        )
        self.image_shape = self.encoder.image_shape
        self.code_size = self.encoder.code_size
        self.latent_size = latent_size or self.code_size
        self.decoder = make_decoder(
            decoder,
            self.image_shape,
            self.latent_size,
            self.likelihood.num_parameters(self.image_shape[-1]),
            **self.network,
        )
        self.encoder.build()
        self.decoder.build()

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`, after a look at the first batches' pixels.

        Grey pixels under a Bernoulli likelihood train without complaint, but
        their "bound" is none. A generator or a `PyDataset` is taken unseen.

        Raises:
            UserError: pixels that the likelihood cannot score, in the first
                batch of the training or the validation data.
        """
        self._check_first_batch(x)
        self._check_first_batch(kwargs.get("validation_data"))
        if hasattr(x, "element_spec"):
            # The order is the data set's; Keras would warn about it.
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`, after the same look.

        Raises:
            UserError: pixels that the likelihood cannot score.
        """
        # Within `fit`, Keras hands the data over in an iterator of its own.
        self._check_first_batch(x)
        return super().evaluate(x, *args, **kwargs)

    def _check_first_batch(self, data: Any) -> None:
        first = data
        if hasattr(data, "element_spec"):
            first = next(iter(data))
        if hasattr(first, "shape") or isinstance(first, Mapping):
            images, _ = unpack_batch(first)
            self.likelihood.validate(ops.convert_to_numpy(images))

    def encode(
        self, images: Any, weights: Any = None, training: bool = False
    ) -> Any:
        """Images `[B, T, H, W, C]` to codes `[B, T, code_size]`.

        Args:
            images: `[B, T, H, W, C]`.
            weights: `[B, T]`, 0 for an absent image: where images see each
                other (`encoder.mixes_images`), none sees it.
            training: for networks that behave otherwise in training.

        Raises:
            UserError: another rank or image shape, or T = 0.
        """
        return self.encoder(
            self.check_images(images), weights=weights, training=training
        )

    def decode(self, latents: Any) -> Any:
        """Latents `[B, T, L]` to likelihood parameters `[B, T, H, W, P]`."""
        return self.decoder(latents)

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
            encoder=self.encoder_name,
            decoder=self.decoder_name,
            **self.network,
        )
        return config
