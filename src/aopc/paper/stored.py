"""The networks on disk, built only by code that params.yaml names, or by ours."""

from typing import TYPE_CHECKING

from aopc.models.network import Network, stored_network
from aopc.paper.panel import network_file

if TYPE_CHECKING:
    from aopc.paper.settings import Settings


def network_of(settings: "Settings", name: str) -> Network:
    """The network that params.yaml calls ``data set/label``, on the best device."""
    return stored_network(network_file(name), settings.architecture_of(name)).on()
