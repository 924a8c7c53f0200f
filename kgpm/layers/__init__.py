"""Keras layers: memories, posteriors, encoders and decoders."""

from kgpm.layers.address_posterior import AddressPosterior
from kgpm.layers.choices import check_choice
from kgpm.layers.draw import Draw
from kgpm.layers.dynamic_kanerva_memory import DynamicKanervaMemory
from kgpm.layers.fast_group_normalization import FastGroupNormalization
from kgpm.layers.gaussian_head import DiagonalGaussian
from kgpm.layers.gaussian_head import GaussianHead
from kgpm.layers.image_decoder import ImageDecoder
from kgpm.layers.image_encoder import ImageEncoder
from kgpm.layers.kanerva_memory import KanervaMemory
from kgpm.layers.ordering_lstm import OrderingLSTM
from kgpm.layers.pseudo_inverse_memory import PseudoInverseMemory
from kgpm.layers.residual_block import ResidualBlock
from kgpm.layers.transposed_convolution import TransposedConvolution

__all__ = [
    "AddressPosterior",
    "DiagonalGaussian",
    "Draw",
    "DynamicKanervaMemory",
    "FastGroupNormalization",
    "GaussianHead",
    "ImageDecoder",
    "ImageEncoder",
    "KanervaMemory",
    "OrderingLSTM",
    "PseudoInverseMemory",
    "ResidualBlock",
    "TransposedConvolution",
    "check_choice",
]
