"""Published weights of Caffe networks: where they are, and what they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass

from aopc.base.errors import InputError
from aopc.base.names import nearest
from aopc.data.downloads.source import Source
from aopc.models.preprocessing import PREPROCESSINGS, Preprocessing


@dataclass(frozen=True)
class CaffeWeights:
    """Attributes
    ----------
    architectures
        Keys of :data:`aopc.models.zoo.ARCHITECTURES` that take these weights; the file's own list of
        layers decides between them, and the first is meant where it lists none.
    classes
        Outputs.
    source
        The file, or an archive with it.
    preprocessing
        What the network expects.
    accuracy
        Published top-1 accuracy on the validation set of its data, centre crop only.
    member, mean
        Where ``source`` is an archive: the names of the weights and of the mean image in it.
    """

    architectures: tuple[str, ...]
    classes: int
    source: Source
    preprocessing: Preprocessing
    accuracy: float
    member: str | None = None
    mean: str | None = None


#: Name → weights. Checksums are those that the publishers give.
CAFFE_WEIGHTS: dict[str, CaffeWeights] = {
    "bvlc-caffenet": CaffeWeights(
        architectures=("caffenet",),
        classes=1000,
        source=Source(
            name="bvlc_reference_caffenet.caffemodel",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_reference_caffenet",
            licence="unrestricted use",
            urls=("http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",),
            checksum="sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
            about=244_000_000,
        ),
        preprocessing=PREPROCESSINGS["caffe"],
        accuracy=0.574,
    ),
    "bvlc-googlenet": CaffeWeights(
        architectures=("googlenet",),
        classes=1000,
        source=Source(
            name="bvlc_googlenet.caffemodel",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet",
            licence="unrestricted use",
            urls=("http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel",),
            size=53_533_754,
            checksum="sha1:405fc5acd08a3bb12de8ee5e23a96bec22f08204",
        ),
        preprocessing=PREPROCESSINGS["caffe-224"],
        accuracy=0.687,
    ),
    # Often called AlexNet, and in the paper too; but its authors' places205CNN_deploy.prototxt pools
    # before it normalises, as CaffeNet does.
    "places205-cnn": CaffeWeights(
        architectures=("caffenet", "alexnet"),
        classes=205,
        source=Source(
            name="placesCNN_upgraded.tar.gz",
            page="http://places.csail.mit.edu/downloadCNN.html",
            licence="Creative Commons Attribution",
            urls=("http://places.csail.mit.edu/model/placesCNN_upgraded.tar.gz",),
            about=218_000_000,
        ),
        # The mean colour is replaced by that of the archive's mean image.
        preprocessing=PREPROCESSINGS["caffe"],
        accuracy=0.500,
        member="places205CNN_iter_300000_upgraded.caffemodel",
        mean="places205CNN_mean.binaryproto",
    ),
}


def weights_named(name: str, table: Mapping[str, CaffeWeights] = CAFFE_WEIGHTS) -> CaffeWeights:
    """The published weights called ``name``.

    Raises
    ------
    InputError
        If there are none of this name.
    """
    if name not in table:
        raise InputError(f"unknown weights {name!r}: {nearest(name, table)}")
    return table[name]
