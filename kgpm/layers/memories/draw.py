"""What a stochastic read returns."""

from typing import Any
from typing import NamedTuple


class Draw(NamedTuple):
    """One draw of the latent variables behind a batch of images.

    Attributes:
        latents: what the decoder takes, `[B, Q, ...]` or a nest of such.
        kl: divergences by term name, each `[B, Q]` in nats.
        log_ratio: log p(h) - log q(h | x) of the very draw, `[B, Q]`: with
            the log-likelihood it makes an importance weight.
    """

    latents: Any
    kl: dict[str, Any]
    log_ratio: Any
