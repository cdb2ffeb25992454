"""Train a network from scratch, the same way each time."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from aopc.models.inference import device_of, predict
from aopc.progress import Progress, silent
from aopc.streams import Stream


@dataclass(frozen=True)
class TrainingSettings:
    """Attributes
    ----------
    epochs
        Passes over the training images.
    batch_size
        Images a step.
    learning_rate
        The peak of a one-cycle schedule (Smith, Topin 2019) for AdamW.
    weight_decay
        AdamW's.
    mirror
        Whether to mirror half of the images at random, left to right.
    seed
        Of the weights, the order of the images, the mirroring and the dropout.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    mirror: bool
    seed: int


def initialise(model: nn.Module, seed: int) -> None:
    """He's normal initialisation (He et al. 2015) with zero biases, and torch's generator seeded."""
    torch.manual_seed(int(Stream(seed, "torch").permutation(2**16)[0]))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def train(
    model: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    settings: TrainingSettings,
    progress: Progress = silent,
) -> tuple[nn.Sequential, list[float]]:
    """Initialise and minimise the cross-entropy.

    Batch normalisation behind each layer but the last helps the training and is folded into the
    weights afterwards, so that the network that is explained has the plain layers of ``model``.

    Parameters
    ----------
    model
        On the device to train on. It gives the layers; its weights are not used.
    images
        (N, C, H, W) in the model's input space.
    labels
        (N,) int64.
    settings
        See :class:`TrainingSettings`.
    progress
        Is told of the images of each step.

    Returns
    -------
    The trained network in evaluation mode, and the mean loss of each epoch.
    """
    device = device_of(model)
    size, count = settings.batch_size, len(images)
    steps = -(-count // size)
    initialise(model, settings.seed)
    learner = _with_batch_norm(model).to(device).train()
    optimiser = torch.optim.AdamW(
        learner.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=settings.learning_rate, total_steps=steps * settings.epochs
    )
    loss_function = nn.CrossEntropyLoss()
    images = images.contiguous(memory_format=torch.channels_last)
    losses = []
    for epoch in range(settings.epochs):
        stream = Stream(settings.seed, "epoch", epoch)
        order = torch.from_numpy(stream.permutation(count))
        mirrored = torch.from_numpy(stream.uniform((count,)) < (0.5 if settings.mirror else 0.0))
        total = 0.0
        for chosen in order.split(size):
            if len(chosen) == 1:  # batch normalisation needs two
                continue
            batch = images[chosen].to(device, memory_format=torch.channels_last)
            batch = torch.where(
                mirrored[chosen][:, None, None, None].to(device), batch.flip(3), batch
            )
            loss = loss_function(learner(batch), labels[chosen].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
            progress(len(chosen))
        losses.append(total / count)
    return _folded(learner.eval()), losses


def _with_batch_norm(model: nn.Sequential) -> nn.Sequential:
    layers = list(model)
    learned = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    normalised: list[nn.Module] = []
    for layer in layers:
        normalised.append(layer)
        if isinstance(layer, nn.Conv2d):
            normalised.append(nn.BatchNorm2d(layer.out_channels))
        elif isinstance(layer, nn.Linear) and layer is not learned[-1]:
            normalised.append(nn.BatchNorm1d(layer.out_features))
    return nn.Sequential(*normalised)


def _folded(model: nn.Sequential) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in model:
        before = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(before, layer)
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Linear):
            layers[-1] = fuse_linear_bn_eval(before, layer)
        else:
            layers.append(layer)
    return nn.Sequential(*layers).eval()


def accuracy(model: nn.Module, images: Tensor, labels: np.ndarray) -> float:
    """Share of images whose predicted class is the label, 0 to 1."""
    return float((predict(model, images).argmax(axis=1) == labels).mean())
