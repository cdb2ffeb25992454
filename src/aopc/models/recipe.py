"""How a network is trained, as settings."""

from dataclasses import dataclass
from typing import Literal

from aopc.base.checked import Count, NotNegative, Positive
from aopc.base.errors import InputError
from aopc.base.names import nearest


@dataclass(frozen=True)
class TrainingSettings:
    """Attributes
    ----------
    epochs, batch_size
        Passes over the training images, and images a step.
    mirror
        Whether to mirror half of the images at random, left to right.
    seed
        Of the weights, the order of the images, the mirroring and the dropout.
    solver
        "one-cycle": AdamW with a one-cycle schedule (Smith, Topin 2019), whose peak is the learning rate, and batch
        normalisation, which is folded into the weights afterwards. "constant": stochastic gradient descent with
        momentum 0.9 at a constant rate and nothing else, as in Caffe's CIFAR-10 example.
    checkpoints
        Numbers of iterations after which the network is kept, too.
    """

    epochs: Count
    batch_size: Count
    learning_rate: Positive
    weight_decay: NotNegative
    mirror: bool
    seed: int
    solver: Literal["one-cycle", "constant"] = "one-cycle"
    checkpoints: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not 0 < self.learning_rate < float("inf"):
            raise InputError(
                "training needs one epoch, two images a batch and a learning rate above 0, or more; got"
                f" {self.epochs}, {self.batch_size} and {self.learning_rate}"
            )
        solvers = ("one-cycle", "constant")
        if len(set(self.checkpoints)) < len(self.checkpoints):
            raise InputError(f"checkpoints names an iteration twice: {list(self.checkpoints)}")
        if self.solver not in solvers:
            raise InputError(f"unknown solver {self.solver!r}: {nearest(self.solver, solvers)}")
