"""What tests of the page and of its viewer share."""

from typing import Any

import pytest

from tiny_panel import shown_panel


@pytest.fixture(scope="session")
def shown() -> dict[str, Any]:
    return shown_panel()
