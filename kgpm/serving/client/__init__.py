"""A client of TensorFlow Serving and KServe."""
