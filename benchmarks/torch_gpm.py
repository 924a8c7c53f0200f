"""The published GPM in plain PyTorch: a rate to compare with.

    python -m benchmarks.torch_gpm

Its networks, write, read, loss and optimiser are those that Pham et al.,
"Generative Pseudo-Inverse Memory", ICLR 2022 published, written anew: 28x28
images, 16 channels, batch normalisation, K = 32, C = 100, inverses by seven
Newton steps of scale 5e-4, the prior memory inverted once for each episode,
Adam, gradients clipped to a norm of 10. It prints milliseconds, a step a line;
`benchmarks.published` runs it beside this package.

Needs PyTorch, which `pip install '.[benchmarks]'` brings.
"""

import argparse
import time

import torch
from torch import nn
from torch.nn import functional

MEMORY_SIZE, CODE_SIZE, CHANNELS = 32, 100, 16
NOISE = 0.5
# Kernel, stride, padding of the decoder's transposed convolutions.
UPSAMPLINGS = ((4, 2, 0), (4, 2, 1), (3, 2, 1), (4, 2, 2))


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.layers(images)


class TorchGPM(nn.Module):
    """Encoder, memory and decoder; `forward` is the training loss."""

    def __init__(self) -> None:
        super().__init__()
        encoder: list[nn.Module] = []
        for inputs in (1, CHANNELS, CHANNELS):
            encoder += [
                nn.Conv2d(inputs, CHANNELS, 4, stride=2, padding=2),
                ResidualBlock(CHANNELS),
            ]
        self.encoder = nn.Sequential(
            *encoder, nn.Flatten(), nn.Linear(400, CODE_SIZE)
        )
        decoder: list[nn.Module] = []
        channels = [CODE_SIZE, CHANNELS, CHANNELS, CHANNELS, 1]
        for i, (kernel, stride, padding) in enumerate(UPSAMPLINGS):
            decoder += [
                nn.ConvTranspose2d(
                    channels[i], channels[i + 1], kernel, stride, padding
                ),
                ResidualBlock(channels[i + 1]),
            ]
        self.decoder = nn.Sequential(*decoder)
        self.memory = nn.Parameter(torch.randn(MEMORY_SIZE, CODE_SIZE))
        self.log_variance = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        episodes, length = images.shape[:2]
        flat = images.flatten(0, 1)
        codes = self.encoder(flat).view(episodes, length, CODE_SIZE)
        prior = self.memory.expand(episodes, -1, -1)
        noisy = codes + NOISE * torch.randn_like(codes)
        address = noisy @ pseudo_inverse(prior)
        written = pseudo_inverse(address) @ noisy
        mean = noisy @ pseudo_inverse(written)
        deviation = torch.exp(0.5 * self.log_variance)
        drawn = mean + deviation * torch.randn_like(mean)
        latents = drawn @ written
        kl = 0.5 * (
            mean.square() + self.log_variance.exp() - 1.0 - self.log_variance
        ).sum(-1)
        return self.nats(latents, flat) + self.nats(codes, flat) + kl.mean()

    def nats(self, latents: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
        """Mean -ln p of images whose latents are given."""
        logits = self.decoder(latents.reshape(-1, CODE_SIZE, 1, 1))
        total = functional.binary_cross_entropy_with_logits(
            logits, flat, reduction="sum"
        )
        return total / len(flat)


def pseudo_inverse(matrix: torch.Tensor) -> torch.Tensor:
    """Seven Newton steps from 5e-4 of the transpose, in the published order."""
    inverse = 5e-4 * matrix.transpose(-1, -2)
    for _ in range(7):
        inverse = 2.0 * inverse - inverse @ matrix @ inverse
    return inverse


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--batch_size", type=int, default=32, help="episodes")
    add("--episode_length", type=int, default=32, help="images")
    add("--repeats", type=int, default=20, help="timed steps")
    add("--channels_last", action="store_true", help="as TensorFlow has them")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = TorchGPM()
    if arguments.channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4, weight_decay=1e-4)
    shape = (arguments.batch_size, arguments.episode_length, 1, 28, 28)
    images = torch.randint(0, 2, shape).float()
    for index in range(3 + arguments.repeats):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = model(images)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        loss.item()
        if index >= 3:
            print(f"{1e3 * (time.perf_counter() - start):.1f}", flush=True)


if __name__ == "__main__":
    main()
