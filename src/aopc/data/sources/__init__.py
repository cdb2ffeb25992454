"""Data sets: one module each.

A source is a function ``source(*, split, seed, **settings) -> Dataset``. The settings stand in params.yaml. Where a
source says nothing else, ``split`` is "train" or "test", ``seed`` that of a random choice, ``count`` how many images
are taken (the paper: 5040), and ``archive`` replaces settings of :class:`aopc.data.downloads.source.Source`, such as
the URL by that of your institute's mirror. An InputError says that the images cannot be had or are damaged, and what
to do.
"""

SPLITS = ("train", "test")

#: Name → source of a data set, imported at its first use.
SOURCES: dict[str, str] = {
    "cifar10": "aopc.data.sources.torchvision_sets:cifar10",
    "digits": "aopc.data.sources.digits:digits",
    "drawn": "aopc.data.sources.drawn:drawn",
    "folder": "aopc.data.sources.own:own_images",
    "ilsvrc2012": "aopc.data.sources.ilsvrc2012:ilsvrc2012",
    "mnist": "aopc.data.sources.torchvision_sets:mnist",
    "places205": "aopc.data.sources.places:places205",
    "places365-validation": "aopc.data.sources.places:places365_validation",
    "sun397": "aopc.data.sources.sun397:sun397",
}

#: Name → the files that a source downloads, ``needed(split, settings) -> [Source]``, for those that do.
DOWNLOADS: dict[str, str] = {
    "cifar10": "aopc.data.sources.torchvision_sets:needed_cifar10",
    "ilsvrc2012": "aopc.data.sources.ilsvrc2012:needed",
    "mnist": "aopc.data.sources.torchvision_sets:needed_mnist",
    "places205": "aopc.data.sources.places:needed_places205",
    "places365-validation": "aopc.data.sources.places:needed_places365",
    "sun397": "aopc.data.sources.sun397:needed",
}

#: Name → side of its images in pixels, for those whose images are squares of one size.
SIDES = {"cifar10": 32, "digits": 32, "drawn": 64, "mnist": 32}
