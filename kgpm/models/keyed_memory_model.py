"""What Kanerva++ and its ablation have in common."""

from typing import Any

from kgpm.models.memory_model import MemoryModel


class KeyedMemoryModel(MemoryModel):
    """Base of the models whose memory is read by sampled keys.

    The decoder sees the latent alone, and the memory its prior
    (`kgpm.layers.KeyedMemory`); the bound is conditional on the memory.

    Args:
        memory: a `KeyedMemory`.
        *args: of `AutoencoderModel`.
        **kwargs: of `AutoencoderModel`.
    """

    def keys_of(self, images: Any) -> Any:
        """Mean keys `[B, Q, K, 3]` of images `[B, Q, H, W, C]`."""
        return self.memory.keys_of(self.encode(images))

    def diagnostics(self, images: Any, memory: Any = None) -> dict[str, Any]:
        """See `KeyedMemory.diagnostics`."""
        return self.memory.diagnostics(self.encode(images), memory)

    def generate(
        self,
        memory: Any = None,
        num_samples: int = 16,
        num_steps: int = 10,
        seed: Any = 0,
        threshold: float = 0.5,
        keys: Any = None,
    ) -> Any:
        """New images: a read at keys, then `num_steps - 1` further reads.

        Args:
            memory: as `write` returns it.
            num_samples: N, images of random keys; as many as `keys` where
                these are given.
            num_steps: images of each sample, the first read among them.
            seed: of keys and latents.
            threshold: see `denoise`.
            keys: `[B, N, K, 3]`; by default from N(0, I).

        Returns:
            `[B, num_steps, N, H, W, C]`.

        Raises:
            UserError: keys of another shape, or counts below 1.
        """
        if keys is None:
            return super().generate(
                memory, num_samples, num_steps, seed, threshold
            )
        latents = self.memory.sample_at(memory, keys, seed)
        return self.generate_from(latents, memory, num_steps, threshold)
