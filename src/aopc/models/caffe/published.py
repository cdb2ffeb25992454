"""Published weights of Caffe networks: where they are, and what they belong to."""

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
        Keys of :data:`aopc.models.zoo.ARCHITECTURES` that take these weights; the file's own list of layers decides
        between them, and the first is meant where it lists none.
    source
        The file, or an archive with it.
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


def _bvlc(model: str, sha1: str, *, size: int | None = None, about: int = 0) -> Source:
    return Source(
        name=f"{model}.caffemodel",
        page=f"https://github.com/BVLC/caffe/tree/master/models/{model}",
        licence="unrestricted use",
        urls=(f"http://dl.caffe.berkeleyvision.org/{model}.caffemodel",),
        size=size,
        checksum=f"sha1:{sha1}",
        about=about,
    )


#: Name → weights. Checksums are those that the publishers give.
CAFFE_WEIGHTS: dict[str, CaffeWeights] = {
    "bvlc-caffenet": CaffeWeights(
        architectures=("caffenet",),
        classes=1000,
        source=_bvlc("bvlc_reference_caffenet", "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46", about=244_000_000),
        preprocessing=PREPROCESSINGS["caffe"],
        accuracy=0.574,
    ),
    "bvlc-googlenet": CaffeWeights(
        architectures=("googlenet",),
        classes=1000,
        source=_bvlc("bvlc_googlenet", "405fc5acd08a3bb12de8ee5e23a96bec22f08204", size=53_533_754),
        preprocessing=PREPROCESSINGS["caffe-224"],
        accuracy=0.687,
    ),
    # Often called AlexNet, and in the paper too; but its authors' places205CNN_deploy.prototxt pools before it
    # normalises, as CaffeNet does.
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


def weights_named(name: str) -> CaffeWeights:
    """The published weights called ``name``; an InputError if there are none of this name."""
    if name not in CAFFE_WEIGHTS:
        raise InputError(f"unknown weights {name!r}: {nearest(name, CAFFE_WEIGHTS)}")
    return CAFFE_WEIGHTS[name]
