"""Evaluation: figures A, B and C, tighter bounds and retrieval, of a model."""
