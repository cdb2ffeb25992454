"""Data sets: one module each.

A source is a function ``source(*, split, seed, **settings) -> Dataset``. The settings stand in
params.yaml.
"""

#: Name → source of a data set, imported at its first use.
SOURCES: dict[str, str] = {
    "cifar10": "aopc.datasets.torchvision_sets:cifar10",
    "digits": "aopc.datasets.digits:digits",
    "drawn": "aopc.datasets.drawn:drawn",
    "folder": "aopc.datasets.own:own_images",
    "ilsvrc2012": "aopc.datasets.ilsvrc2012:ilsvrc2012",
    "mnist": "aopc.datasets.torchvision_sets:mnist",
    "places205": "aopc.datasets.places:places205",
    "places365-validation": "aopc.datasets.places:places365_validation",
    "sun397": "aopc.datasets.sun397:sun397",
}

#: Name → the files that a source downloads, ``needed(split, settings) -> [Source]``, for those that do.
DOWNLOADS: dict[str, str] = {
    "cifar10": "aopc.datasets.torchvision_sets:needed_cifar10",
    "ilsvrc2012": "aopc.datasets.ilsvrc2012:needed",
    "mnist": "aopc.datasets.torchvision_sets:needed_mnist",
    "places205": "aopc.datasets.places:needed_places205",
    "places365-validation": "aopc.datasets.places:needed_places365",
    "sun397": "aopc.datasets.sun397:needed",
}
