"""Downloads of the sources, on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aopc.data.downloads import fetch as fetching
from file_server import FileServer, file_server


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for downloads; nothing outside loopback is ever asked."""
    folder = tmp_path / "downloads"
    monkeypatch.setenv("AOPC_DOWNLOADS", str(folder))
    monkeypatch.setattr(fetching, "BACK_OFF", 0.001)
    return folder


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running
