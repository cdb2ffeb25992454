"""Where a published file is, and what settings may say otherwise."""

import pytest

from aopc.base.errors import InputError
from aopc.data.downloads.source import Source

MD5 = "md5:" + 16 * "0a"


def source(*urls: str) -> Source:
    return Source("data.bin", "http://example.org/data", "free", urls, checksum=MD5, size=3_000_000)


def test_settings_replace_parts_of_a_source() -> None:
    ours = source("http://a").changed({"urls": "http://b"}, "x")
    assert ours.urls == ("http://b",)
    assert (ours.checksum, ours.size) == (MD5, 3_000_000)
    upper = source().changed({"checksum": MD5.upper()}, "x")
    assert (upper.checksum, upper.size) == (MD5, None)
    for wrong in ("d41d8cd98f00b204e9800998ecf8427e", "crc32:00000000", "md5:12", 5):
        with pytest.raises(InputError, match="a checksum is md5, sha1"):
            source().changed({"checksum": wrong}, "x")
    for wrong in (5, "ftp://a", [None]):
        with pytest.raises(InputError, match="must be http or https"):
            source().changed({"urls": wrong}, "x")
    with pytest.raises(InputError, match="did you mean 'urls'"):
        source().changed({"url": "http://b"}, "the archive")
