"""Encoders, decoders and the blocks that they are made of."""
