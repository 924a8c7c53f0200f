"""Encoder and decoder by name, which most models share."""

from typing import Any

from kgpm.errors import check_choice
from kgpm.layers import NORMALIZATIONS
from kgpm.layers import make_decoder
from kgpm.layers import make_encoder
from kgpm.models.latent_model import LatentModel


class AutoencoderModel(LatentModel):
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
        super().__init__(image_shape, likelihood, **kwargs)
        check_choice("normalization", normalization, NORMALIZATIONS)
        self.network = {
            "width": width,
            "num_blocks": num_blocks,
            "normalization": normalization,
        }
        self.encoder_name, self.decoder_name = encoder, decoder
        self.encoder = make_encoder(
            encoder, image_shape, code_size, **self.network
        )
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

    @property
    def mixes_images(self) -> bool:
        return self.encoder.mixes_images

    def encode(
        self, images: Any, weights: Any = None, training: bool = False
    ) -> Any:
        return self.encoder(
            self.check_images(images), weights=weights, training=training
        )

    def decode(self, latents: Any) -> Any:
        return self.decoder(latents)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "code_size": self.code_size,
            "encoder": self.encoder_name,
            "decoder": self.decoder_name,
            **self.network,
        }
