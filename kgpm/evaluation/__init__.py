"""Evaluation: figures A, B and C, tighter bounds and retrieval, of a model."""

from kgpm.evaluation.energies import code_residual
from kgpm.evaluation.energies import energy
from kgpm.evaluation.evaluation import evaluate
from kgpm.evaluation.held_out import held_out_terms
from kgpm.evaluation.importance_weights import held_out_bounds
from kgpm.evaluation.importance_weights import importance_weighted_bounds
from kgpm.evaluation.report import format_table
from kgpm.evaluation.retrieval import measure_retrieval

__all__ = [
    "code_residual",
    "energy",
    "evaluate",
    "format_table",
    "held_out_bounds",
    "held_out_terms",
    "importance_weighted_bounds",
    "measure_retrieval",
]
