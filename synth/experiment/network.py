"""A small network of convolutions that gives heat maps, and how it is trained. Needs torch; loaded only when training begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from synth.errors import ConfigError
from synth.experiment.prediction import Training
from synth.types import F32, U8


def _block(inputs: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    for first in (inputs, outputs):
        layers += [nn.Conv2d(first, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class HeatNet(nn.Module):  # type: ignore[misc]
    """A U-Net (Ronneberger et al. 2015): (b, 3, h, w) in -1..1 -> (b, outputs, h / 2, w / 2) logits. Its stem halves the picture, each of
    `levels` more halves it again; h and w are padded to what that divides. The first `heats` outputs are heat maps (default: all)."""

    def __init__(self, outputs: int, width: int = 16, levels: int = 3, heats: int | None = None) -> None:
        super().__init__()
        sizes = [min(width * 2**level, width * 8) for level in range(levels + 1)]
        self.stem = nn.Sequential(nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([width, *sizes], sizes, strict=False))
        self.up = nn.ModuleList(_block(low + high, high) for low, high in zip(sizes[:0:-1], sizes[-2::-1], strict=True))
        self.head = nn.Conv2d(width, outputs, 1)
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[:heats], -4.0)  # most of a heat map is cold
        self.multiple = 2 ** (levels + 1)

    def forward(self, x: Any) -> Any:
        kept, x = [], self.stem(x)
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for block, beside in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear"), beside], 1))
        return self.head(x)


def as_input(images: list[U8], multiple: int) -> Any:
    """(b, 3, h, w) of equally large pictures (h, w, 3), padded on the right and below by their edges."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    height, width = batch.shape[-2:]
    return nn.functional.pad(batch, (0, -width % multiple, 0, -height % multiple), mode="replicate")


Batch = tuple[list[U8], F32, F32]  # pictures; targets (b, outputs, h / 2, w / 2), and the weight of each


def fit(
    make: Callable[[], HeatNet],
    batches: Callable[[int], Iterator[Batch]],
    loss: Callable[[Any, Any, Any], Any],
    steps: int,
    rate: float,
    config: Training,
) -> HeatNet:
    """A network, its weights drawn by the seed, trained for `steps` batches by AdamW, the rate rising over the first tenth and falling as a
    cosine to 0. The random state of torch is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = make()
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    rise = 0.1 + 1e-6  # a tenth of ten steps would be one step up exactly, by which torch divides as by zero
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=rise)
    net.train()
    done, epoch = 0, 0
    while done < steps:
        before = done
        for images, targets, weights in batches(epoch):
            logits = net(as_input(images, net.multiple))[..., : targets.shape[-2], : targets.shape[-1]]
            optimizer.zero_grad()
            value = loss(logits, torch.from_numpy(targets), torch.from_numpy(weights))
            value.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done % 10 == 0 or done == steps:
                config.tell(done, {"loss": float(value.detach())})
            if done == steps:
                break
        epoch += 1
        if done == before:
            raise ConfigError("the training set gives no batches")
    net.eval()
    return net


def outputs_of(net: HeatNet, image: U8) -> F32:
    """(outputs, h / 2, w / 2) logits of one picture, sides rounded up."""
    with torch.inference_mode():
        logits = net(as_input([image], net.multiple))[0]
    height, width = image.shape[:2]
    return np.asarray(logits[:, : -(-height // 2), : -(-width // 2)].numpy())


def cross_entropy(logits: Any, targets: Any, weights: Any) -> Any:
    """Binary cross-entropy with Gaussian targets: its least is where the sigmoid is the target, so peaks keep their shape."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, targets, weight=weights * (1 + 10 * targets), reduction="none")
    return each.sum() / targets.sum().clamp(min=1)


def softmax_entropy(logits: Any, targets: Any, weights: Any) -> Any:
    """Cross-entropy of maps that hold one point each, as distributions over cells; weights (b, k, 1, 1): 0 without a point."""
    logs = torch.log_softmax(logits.flatten(2), dim=2)
    wanted = targets.flatten(2) / targets.flatten(2).sum(2, keepdim=True).clamp(min=1e-6)
    return (-(wanted * logs).sum(2) * weights[..., 0, 0]).sum() / weights.sum().clamp(min=1)
