"""Export: a model as a versioned SavedModel with its card."""
