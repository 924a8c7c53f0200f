"""Keras layers: memories, posteriors, encoders and decoders."""

from kgpm.layers.bottlenecks.code_perplexity import CodePerplexity
from kgpm.layers.bottlenecks.code_perplexity import perplexity
from kgpm.layers.bottlenecks.grid_bottleneck import GridBottleneck
from kgpm.layers.bottlenecks.grid_bottleneck import NoBottleneck
from kgpm.layers.bottlenecks.pixel_cnn import PixelCNN
from kgpm.layers.bottlenecks.quantized_bottleneck import QuantizedBottleneck
from kgpm.layers.bottlenecks.soft_bottleneck import ADDRESSES
from kgpm.layers.bottlenecks.soft_bottleneck import SoftBottleneck
from kgpm.layers.bottlenecks.soft_bottleneck import VariationalBottleneck
from kgpm.layers.bottlenecks.soft_memory import SIMILARITIES
from kgpm.layers.bottlenecks.soft_memory import SoftMemory
from kgpm.layers.bottlenecks.vector_quantizer import Quantized
from kgpm.layers.bottlenecks.vector_quantizer import VectorQuantizer
from kgpm.layers.bottlenecks.vector_quantizer_ema import VectorQuantizerEMA
from kgpm.layers.memories.block import BlockMemory
from kgpm.layers.memories.categorical_read import Addresses
from kgpm.layers.memories.categorical_read import CategoricalRead
from kgpm.layers.memories.dense import DenseMemory
from kgpm.layers.memories.dynamic_kanerva import DynamicKanervaMemory
from kgpm.layers.memories.gaussian_latent import GaussianLatent
from kgpm.layers.memories.image import ImageMemory
from kgpm.layers.memories.kanerva import KanervaMemory
from kgpm.layers.memories.keyed import KeyedMemory
from kgpm.layers.memories.matrix_normal import MatrixNormalMemory
from kgpm.layers.memories.memory import Draw
from kgpm.layers.memories.memory import Memory
from kgpm.layers.memories.memory import as_memory
from kgpm.layers.memories.ordering_lstm import OrderingLSTM
from kgpm.layers.memories.pseudo_inverse import AddressPosterior
from kgpm.layers.memories.pseudo_inverse import PseudoInverseMemory
from kgpm.layers.memories.sequential import SequentialMemory
from kgpm.layers.memories.slot import SlotMemory
from kgpm.layers.memories.softmax_read import SoftmaxRead
from kgpm.layers.memories.trace_prior import TracePrior
from kgpm.layers.networks.address_encoder import AddressEncoder
from kgpm.layers.networks.blocks import NORMALIZATIONS
from kgpm.layers.networks.blocks import GroupNormalization
from kgpm.layers.networks.blocks import ResidualBlock
from kgpm.layers.networks.blocks import TransposedConvolution
from kgpm.layers.networks.entry_decoder import EntryDecoder
from kgpm.layers.networks.evo_norm_s0 import EvoNormS0
from kgpm.layers.networks.gaussian_head import DiagonalGaussian
from kgpm.layers.networks.gaussian_head import GaussianHead
from kgpm.layers.networks.grid_networks import GridDecoder
from kgpm.layers.networks.grid_networks import GridEncoder
from kgpm.layers.networks.grid_networks import ResidualStack
from kgpm.layers.networks.image_networks import Decoder
from kgpm.layers.networks.image_networks import Encoder
from kgpm.layers.networks.image_networks import ImageDecoder
from kgpm.layers.networks.image_networks import ImageEncoder
from kgpm.layers.networks.image_networks import PerImage
from kgpm.layers.networks.image_networks import as_decoder
from kgpm.layers.networks.image_networks import as_encoder
from kgpm.layers.networks.image_sizes import check_image_shape
from kgpm.layers.networks.spectral_dense import SpectralDense
from kgpm.layers.networks.temporal_shift_block import TemporalShiftBlock
from kgpm.layers.networks.temporal_shift_resnet import TemporalShiftResNet
from kgpm.layers.networks.transposed_decoder import TransposedDecoder

__all__ = [
    "ADDRESSES",
    "AddressEncoder",
    "AddressPosterior",
    "Addresses",
    "BlockMemory",
    "CategoricalRead",
    "CodePerplexity",
    "Decoder",
    "DenseMemory",
    "DiagonalGaussian",
    "Draw",
    "DynamicKanervaMemory",
    "Encoder",
    "EntryDecoder",
    "EvoNormS0",
    "GroupNormalization",
    "GaussianHead",
    "GaussianLatent",
    "GridBottleneck",
    "GridDecoder",
    "GridEncoder",
    "ImageDecoder",
    "ImageEncoder",
    "ImageMemory",
    "KanervaMemory",
    "KeyedMemory",
    "MatrixNormalMemory",
    "Memory",
    "NORMALIZATIONS",
    "NoBottleneck",
    "OrderingLSTM",
    "PerImage",
    "PixelCNN",
    "PseudoInverseMemory",
    "Quantized",
    "QuantizedBottleneck",
    "ResidualBlock",
    "ResidualStack",
    "SIMILARITIES",
    "SequentialMemory",
    "SlotMemory",
    "SoftBottleneck",
    "SoftMemory",
    "SoftmaxRead",
    "SpectralDense",
    "TemporalShiftBlock",
    "TemporalShiftResNet",
    "TracePrior",
    "TransposedConvolution",
    "TransposedDecoder",
    "VariationalBottleneck",
    "VectorQuantizer",
    "VectorQuantizerEMA",
    "as_decoder",
    "as_encoder",
    "as_memory",
    "check_image_shape",
    "perplexity",
]
