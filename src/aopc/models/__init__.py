"""Networks: one module an architecture; preprocessing belongs to the model.

An architecture is a function ``architecture(*, classes, **settings) -> torch.nn.Sequential``.
"""

from collections.abc import Callable

from torch import nn

from aopc.models.digit_networks import digit_lenet, digit_strided
from aopc.models.small_caffenet import small_caffenet

#: Name → architecture of a network that the pipeline can train.
ARCHITECTURES: dict[str, Callable[..., nn.Sequential]] = {
    "digit-lenet": digit_lenet,
    "digit-strided": digit_strided,
    "small-caffenet": small_caffenet,
}
