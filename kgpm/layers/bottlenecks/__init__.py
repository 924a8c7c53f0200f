"""Bottlenecks: what a grid of vectors passes between encoder and decoder."""
