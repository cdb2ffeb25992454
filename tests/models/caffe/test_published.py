"""Published weights of Caffe's model zoo."""

import pytest

from aopc.base.errors import InputError
from aopc.models.caffe.published import CAFFE_WEIGHTS, weights_named
from aopc.models.zoo import ARCHITECTURES


def test_published_weights_say_where_they_are_from() -> None:
    for weights in CAFFE_WEIGHTS.values():
        assert set(weights.architectures) <= set(ARCHITECTURES)
        assert weights.source.urls
        assert weights.source.bytes > 10**7
        assert weights.source.licence
    with pytest.raises(InputError, match="did you mean 'bvlc-caffenet'"):
        weights_named("bvlc-cafenet")
