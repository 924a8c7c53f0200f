"""Keras layers: memories, posteriors, encoders and decoders."""

from kgpm.layers.address_posterior import AddressPosterior
from kgpm.layers.arguments import arguments_of
from kgpm.layers.block_memory import BlockMemory
from kgpm.layers.categorical_read import Addresses
from kgpm.layers.categorical_read import CategoricalRead
from kgpm.layers.choices import check_choice
from kgpm.layers.choices import check_count
from kgpm.layers.choices import check_positive
from kgpm.layers.choices import check_sizes
from kgpm.layers.dense_memory import DenseMemory
from kgpm.layers.draw import Draw
from kgpm.layers.dynamic_kanerva_memory import DynamicKanervaMemory
from kgpm.layers.evo_norm_s0 import EvoNormS0
from kgpm.layers.fast_group_normalization import FastGroupNormalization
from kgpm.layers.gaussian_head import DiagonalGaussian
from kgpm.layers.gaussian_head import GaussianHead
from kgpm.layers.grid_decoder import GridDecoder
from kgpm.layers.grid_encoder import GridEncoder
from kgpm.layers.image_decoder import ImageDecoder
from kgpm.layers.image_encoder import ImageEncoder
from kgpm.layers.image_memory import ImageMemory
from kgpm.layers.image_sizes import check_image_shape
from kgpm.layers.kanerva_memory import KanervaMemory
from kgpm.layers.networks import DECODERS
from kgpm.layers.networks import ENCODERS
from kgpm.layers.networks import make_decoder
from kgpm.layers.networks import make_encoder
from kgpm.layers.ordering_lstm import OrderingLSTM
from kgpm.layers.pixel_cnn import PixelCNN
from kgpm.layers.pseudo_inverse_memory import PseudoInverseMemory
from kgpm.layers.residual_block import NORMALIZATIONS
from kgpm.layers.residual_block import ResidualBlock
from kgpm.layers.residual_stack import ResidualStack
from kgpm.layers.skip_decoder import SkipDecoder
from kgpm.layers.skip_encoder import EncodedImages
from kgpm.layers.skip_encoder import SkipEncoder
from kgpm.layers.slot_memory import SlotMemory
from kgpm.layers.soft_memory import SIMILARITIES
from kgpm.layers.soft_memory import SoftMemory
from kgpm.layers.softmax_read import SoftmaxRead
from kgpm.layers.spectral_dense import SpectralDense
from kgpm.layers.temporal_shift_block import TemporalShiftBlock
from kgpm.layers.temporal_shift_resnet import TemporalShiftResNet
from kgpm.layers.trace_prior import TracePrior
from kgpm.layers.transposed_convolution import TransposedConvolution
from kgpm.layers.transposed_decoder import TransposedDecoder
from kgpm.layers.vector_quantizer import Quantized
from kgpm.layers.vector_quantizer import VectorQuantizer
from kgpm.layers.vector_quantizer_ema import VectorQuantizerEMA

__all__ = [
    "check_positive",
    "VectorQuantizerEMA",
    "VectorQuantizer",
    "Quantized",
    "SoftMemory",
    "SIMILARITIES",
    "ResidualStack",
    "PixelCNN",
    "GridEncoder",
    "GridDecoder",
    "DECODERS",
    "ENCODERS",
    "NORMALIZATIONS",
    "AddressPosterior",
    "Addresses",
    "BlockMemory",
    "CategoricalRead",
    "DenseMemory",
    "DiagonalGaussian",
    "Draw",
    "DynamicKanervaMemory",
    "EncodedImages",
    "EvoNormS0",
    "FastGroupNormalization",
    "GaussianHead",
    "ImageDecoder",
    "ImageEncoder",
    "ImageMemory",
    "KanervaMemory",
    "OrderingLSTM",
    "PseudoInverseMemory",
    "ResidualBlock",
    "SkipDecoder",
    "SkipEncoder",
    "SlotMemory",
    "SoftmaxRead",
    "SpectralDense",
    "TemporalShiftBlock",
    "TemporalShiftResNet",
    "TracePrior",
    "TransposedConvolution",
    "TransposedDecoder",
    "arguments_of",
    "check_choice",
    "check_count",
    "check_image_shape",
    "check_sizes",
    "make_decoder",
    "make_encoder",
]
