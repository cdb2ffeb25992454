"""The pipeline's files as subjects of the experiment."""

from typing import TYPE_CHECKING

from aopc.base.provenance import file_hash
from aopc.experiment.subject import Subject
from aopc.models.network import stored_network
from aopc.paper.panel import Panel

if TYPE_CHECKING:
    from aopc.paper.settings import Settings


def subject_of(settings: "Settings", panel: Panel) -> Subject:
    """What is explained on a panel, on the best device."""
    architecture = settings.architecture_of(settings.panels[panel.name].network)
    network = stored_network(panel.folder / "network.pt", architecture).on()
    # The first two say what the arrays beside them are.
    inputs = [file_hash(panel.folder / name) for name in ("about.json", "prediction.json", "network.pt")]
    if "architecture source" in network.origin:
        inputs.append(network.origin["architecture source"])
    return Subject(panel.name, network, panel.dataset(), panel.targets(), inputs)
