"""A KServe server of an export."""
