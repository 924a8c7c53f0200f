"""Workers: replicas and hosts that share a training."""
