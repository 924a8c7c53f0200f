"""Memories: how codes are written, read and paid for."""
