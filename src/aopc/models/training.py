"""Train a network from scratch, the same way each time."""

import copy
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from aopc.base.errors import InputError
from aopc.base.progress import Progress, silent
from aopc.base.random import Stream
from aopc.models.inference import device_of, predict
from aopc.models.recipe import TrainingSettings


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
    keep: Callable[[int, nn.Sequential], object] = lambda iteration, network: None,
) -> tuple[nn.Sequential, list[float]]:
    """Initialise and minimise the cross-entropy.

    Parameters
    ----------
    model
        On the device to train on. It gives the layers; its weights are not used.
    images, labels
        (N, C, H, W) in the model's input space, and (N,) int64.
    settings, progress
        The recipe, and what is told of the images of each step.
    keep
        Is given the number of iterations and a copy of the network at each checkpoint.

    Returns
    -------
    The trained network in evaluation mode, and the mean loss of each epoch. It has the plain layers of ``model``,
    whatever normalisation helped the training.

    Raises
    ------
    InputError
        If a checkpoint lies beyond the last iteration.
    """
    device = device_of(model)
    size, count = settings.batch_size, len(images)
    # A last batch of one image is left out: batch normalisation needs two.
    steps = count // size + (count % size > 1)
    _check_checkpoints(settings, steps)
    initialise(model, settings.seed)
    names = [name for name, _ in model.named_children()]
    learner = (_with_batch_norm(model) if settings.solver == "one-cycle" else model).to(device).train()
    optimiser, schedule = _solver(learner, settings, steps)
    images = images.contiguous(memory_format=torch.channels_last)
    losses, iteration = [], 0
    for epoch in range(settings.epochs):
        stream = Stream(settings.seed, "epoch", epoch)
        order = torch.from_numpy(stream.permutation(count))
        mirrored = torch.from_numpy(stream.uniform((count,)) < (0.5 if settings.mirror else 0.0))
        total = 0.0
        for chosen in order.split(size)[:steps]:
            batch = images[chosen].to(device, memory_format=torch.channels_last)
            batch = torch.where(mirrored[chosen][:, None, None, None].to(device), batch.flip(3), batch)
            loss = nn.functional.cross_entropy(learner(batch), labels[chosen].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
            progress(len(chosen))
            iteration += 1
            if iteration in settings.checkpoints:
                keep(iteration, _folded(copy.deepcopy(learner).eval(), names))
        losses.append(total / count)
    return _folded(learner.eval(), names), losses


def _check_checkpoints(settings: TrainingSettings, steps: int) -> None:
    last = steps * settings.epochs
    beyond = [c for c in settings.checkpoints if not 1 <= c <= last]
    if beyond:
        raise InputError(
            f"there is no iteration {beyond[0]} for a checkpoint: {settings.epochs} epochs of {steps}"
            f" steps end with iteration {last}"
        )


def _solver(
    learner: nn.Module, settings: TrainingSettings, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.solver == "constant":
        descent = torch.optim.SGD(learner.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
        return descent, torch.optim.lr_scheduler.ConstantLR(descent, factor=1.0)
    adam = torch.optim.AdamW(learner.parameters(), lr=rate, weight_decay=decay)
    return adam, torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=rate, total_steps=steps * settings.epochs)


def _with_batch_norm(model: nn.Sequential) -> nn.Sequential:
    """Batch normalisation behind each layer with weights but the last."""
    learned = [layer for layer in model if isinstance(layer, nn.Conv2d | nn.Linear)]
    layers: list[nn.Module] = []
    for layer in model:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
        elif isinstance(layer, nn.Linear) and layer is not learned[-1]:
            layers.append(nn.BatchNorm1d(layer.out_features))
    return nn.Sequential(*layers)


def _folded(model: nn.Sequential, names: list[str]) -> nn.Sequential:
    """Without batch normalisation; ``names`` are those of the layers that remain."""
    layers: list[nn.Module] = []
    for layer in model:
        before = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(before, layer)
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(before, nn.Linear):
            layers[-1] = fuse_linear_bn_eval(before, layer)
        else:
            layers.append(layer)
    return nn.Sequential(OrderedDict(zip(names, layers, strict=True))).eval()


def accuracy(model: nn.Module, images: Tensor, labels: np.ndarray) -> float:
    """Share of images whose predicted class is the label, 0 to 1."""
    return float((predict(model, images).argmax(axis=1) == labels).mean())
