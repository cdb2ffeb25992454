"""The pipeline's files as subjects of the experiment."""

from aopc.base.provenance import file_hash
from aopc.experiment.subject import Subject
from aopc.models.network import stored_network
from aopc.paper.panel import Panel


def subject_of(panel: Panel) -> Subject:
    """What is explained on a panel, on the best device."""
    network = stored_network(panel.folder / "network.pt").on()
    # The first two say what the arrays beside them are.
    inputs = [file_hash(panel.folder / name) for name in ("about.json", "prediction.json", "network.pt")]
    return Subject(panel.name, network, panel.dataset(), panel.targets(), inputs)
