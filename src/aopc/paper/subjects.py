"""The pipeline's files as subjects of the experiment."""

from aopc.base.provenance import file_hash
from aopc.experiment.subject import Subject
from aopc.models.network import stored_network
from aopc.paper.panel import Panel


def subject_of(panel: Panel) -> Subject:
    """What is explained on a panel, on the best device."""
    network = stored_network(panel.folder / "network.pt").on()
    inputs = [file_hash(f) for f in sorted(panel.folder.iterdir())]
    if "architecture source" in network.origin:
        inputs.append(network.origin["architecture source"])
    return Subject(panel.name, network, panel.dataset(), panel.targets(), inputs)
