"""Pure functions on tensors: solves, divergences, bounds and noise."""

from kgpm.ops.bounds import KL_MEMORY
from kgpm.ops.bounds import importance_weighted_bound
from kgpm.ops.bounds import nelbo
from kgpm.ops.bounds import nelbo_full
from kgpm.ops.convolution import transposed_convolution
from kgpm.ops.gaussian import add_diagonal
from kgpm.ops.gaussian import cholesky_solve
from kgpm.ops.gaussian import class_predictive
from kgpm.ops.gaussian import kl_diagonal
from kgpm.ops.gaussian import kl_diagonal_pairs
from kgpm.ops.gaussian import kl_diagonal_standard
from kgpm.ops.gaussian import kl_matrix_normal
from kgpm.ops.gaussian import kl_precision_standard
from kgpm.ops.gaussian import log_density_diagonal
from kgpm.ops.gaussian import log_determinant
from kgpm.ops.gaussian import sample_matrix_normal
from kgpm.ops.gaussian import symmetrize
from kgpm.ops.gaussian import transpose
from kgpm.ops.kalman import batch_write
from kgpm.ops.kalman import kalman_write
from kgpm.ops.kalman import ridge_address
from kgpm.ops.kalman import sequential_write
from kgpm.ops.kernels import KERNELS
from kgpm.ops.kernels import choose_kernels
from kgpm.ops.kernels import written_for_cpu
from kgpm.ops.linear_posterior import LinearPosterior
from kgpm.ops.linear_posterior import linear_posterior
from kgpm.ops.parts import in_parts
from kgpm.ops.parts import part_size
from kgpm.ops.pseudo_inverse import DEFAULT_ITERATIONS
from kgpm.ops.pseudo_inverse import SOLVERS
from kgpm.ops.pseudo_inverse import check_solver
from kgpm.ops.pseudo_inverse import least_squares
from kgpm.ops.pseudo_inverse import least_squares_from_statistics
from kgpm.ops.pseudo_inverse import pseudo_inverse
from kgpm.ops.pseudo_inverse import times_pseudo_inverse
from kgpm.ops.random import categorical
from kgpm.ops.random import fold_in
from kgpm.ops.random import gumbel
from kgpm.ops.random import make_seed
from kgpm.ops.random import normal
from kgpm.ops.random import split_seed
from kgpm.ops.random import uniform
from kgpm.ops.random import with_noise
from kgpm.ops.replicas import of_the_first_replica
from kgpm.ops.replicas import sum_of_earlier_replicas
from kgpm.ops.replicas import sum_over_replicas
from kgpm.ops.ridge import gram_cholesky
from kgpm.ops.ridge import is_large
from kgpm.ops.slots import FEW_SLOTS
from kgpm.ops.slots import IMPOSSIBLE
from kgpm.ops.slots import add_to_slots
from kgpm.ops.slots import fill_slots
from kgpm.ops.slots import nearest_slots
from kgpm.ops.slots import slot_exponents
from kgpm.ops.slots import slot_log_shares
from kgpm.ops.slots import slot_sums
from kgpm.ops.slots import square_distances
from kgpm.ops.temporal_shift import temporal_shift
from kgpm.ops.vimco import VIMCO_BASELINES
from kgpm.ops.vimco import vimco_bound
from kgpm.ops.windows import bounded_windows
from kgpm.ops.windows import read_windows
from kgpm.ops.windows import share_inside

__all__ = [
    "DEFAULT_ITERATIONS",
    "FEW_SLOTS",
    "IMPOSSIBLE",
    "KERNELS",
    "KL_MEMORY",
    "LinearPosterior",
    "SOLVERS",
    "VIMCO_BASELINES",
    "add_diagonal",
    "add_to_slots",
    "batch_write",
    "bounded_windows",
    "categorical",
    "check_solver",
    "choose_kernels",
    "cholesky_solve",
    "class_predictive",
    "fill_slots",
    "fold_in",
    "give_transposed_gradient",
    "gram_cholesky",
    "gumbel",
    "importance_weighted_bound",
    "in_parts",
    "is_large",
    "kalman_write",
    "kl_diagonal",
    "kl_diagonal_pairs",
    "kl_diagonal_standard",
    "kl_matrix_normal",
    "kl_precision_standard",
    "least_squares",
    "least_squares_from_statistics",
    "linear_posterior",
    "log_density_diagonal",
    "log_determinant",
    "make_seed",
    "nelbo",
    "nelbo_full",
    "nearest_slots",
    "normal",
    "of_the_first_replica",
    "part_size",
    "pseudo_inverse",
    "read_windows",
    "ridge_address",
    "sample_matrix_normal",
    "sequential_write",
    "share_inside",
    "slot_exponents",
    "slot_log_shares",
    "slot_sums",
    "split_seed",
    "square_distances",
    "sum_of_earlier_replicas",
    "sum_over_replicas",
    "symmetrize",
    "temporal_shift",
    "times_pseudo_inverse",
    "transpose",
    "transposed_convolution",
    "uniform",
    "vimco_bound",
    "with_noise",
    "written_for_cpu",
]
