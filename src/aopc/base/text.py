"""Text for people: in one line, short, and without secrets."""

import re
import reprlib
from typing import Any

#: What would break a line, move the cursor, or cannot be written as UTF-8.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: An address, as far as it goes.
_ADDRESS = re.compile(r"://\S+")
#: What follows an address, or a part of one: a signature or a token as often as not.
_QUERY = re.compile(r"[?#][^\s=?#]+=\S*")

#: A setting in an address that gives access.
_SECRET = re.compile(r"(?i)[?#&;][^=&;]*(key|token|secret|signature|sig|auth|passw|pwd|credential|session)[^=&;]*=.")

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 80, 80, 40


def is_plain(text: str) -> bool:
    """Whether a text has no control characters, and can be written as UTF-8."""
    return _CONTROL.search(text) is None


def one_line(text: str) -> str:
    """A text with its control characters escaped, as Python writes them.

    Examples
    --------
    >>> print(one_line("cat\\n1"))
    cat\\n1
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def shown(value: Any) -> str:
    """A value for a message: in one line, and short.

    Examples
    --------
    >>> shown("a" * 200)[:12], shown([1, [2, [3, [4]]]])
    ("'aaaaaaaaaaa", '[1, [2, [...]]]')
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{type(value).__name__} of shape {tuple(shape)}"
    return one_line(_SHORT.repr(value))


def carries_secret(text: str) -> bool:
    """Whether an address in a text has a name before its host, or a setting that is called like a secret.

    Examples
    --------
    >>> carries_secret("https://me:pass@host/x"), carries_secret("http://host/x?X-Amz-Signature=0")
    (True, True)
    >>> carries_secret("https://host/x?download=1")
    False
    """
    return any(
        "@" in re.split("[/?#]", found[0][3:])[0] or _SECRET.search(found[0]) for found in _ADDRESS.finditer(text)
    )


def without_secrets(value: Any) -> Any:
    """A value (text, or lists and dictionaries of it) without what addresses carry to identify somebody: name and
    password before the host, and everything behind ``?``.

    Examples
    --------
    >>> without_secrets("see https://me:secret@host/runs?token=1")
    'see https://…@host/runs?…'
    """
    if isinstance(value, str):
        return _QUERY.sub(lambda found: f"{found[0][0]}…", _ADDRESS.sub(_without_account, value))
    if isinstance(value, dict):
        return {name: without_secrets(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_secrets(held) for held in value)
    return value


def _without_account(address: re.Match[str]) -> str:
    """A password may hold "/" and "@", as SQLAlchemy allows; where it may hold more, nothing is left."""
    account, at, host = address[0].rpartition("@")
    if not at:
        return address[0]
    return "://…" if set(account) & set("?#") else f"://…@{host}"


def readable(size: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> readable(6744924160)
    '6.7 GB'
    """
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
