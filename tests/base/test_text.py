"""Text for people: what it must not hold."""

import pickle

import pytest

from aopc.base.errors import InputError
from aopc.base.text import one_line, shown, without_secrets


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("https://me:secret@host/runs", "https://…@host/runs"),
        ("https://secret@host/runs", "https://…@host/runs"),
        ("postgresql+psycopg2://me:sec/r@et@host:5432/db", "postgresql+psycopg2://…@host:5432/db"),
        ("mysql://me:sec?ret=1@host/db", "mysql://…"),
        ("http://host/?token=a@b", "http://…"),
        ("see 'https://:secret@host' and http://b", "see 'https://…@host' and http://b"),
        ("https://host/a.tar?X-Amz-Signature=secret&b=1 failed", "https://host/a.tar?… failed"),
        ("Max retries exceeded with url: /a.tar?token=secret (Caused by x)", "Max retries exceeded with url: /a.tar?… (Caused by x)"),
        ("https://host/#access_token=secret", "https://host/#…"),
        ("http://host:8080/runs", "http://host:8080/runs"),
        ("http://host/#/experiments/1/runs/2", "http://host/#/experiments/1/runs/2"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("did you mean 'blur'? Known: a@b", "did you mean 'blur'? Known: a@b"),
    ],
)  # fmt: skip
def test_secrets_of_addresses_are_left_out(text: str, right: str) -> None:
    assert without_secrets(text) == right
    assert without_secrets({"a": [text, 1]}) == {"a": [right, 1]}
    assert str(InputError(text)) == right


def test_a_mistake_is_one_line_whatever_names_are_in_it() -> None:
    error = InputError("no file a\nb\x1b[1m\udcff\u2028", "second")
    assert error.mistakes == ("no file a\\nb\\x1b[1m\\udcff\\u2028", "second")
    assert pickle.loads(pickle.dumps(error)).mistakes == error.mistakes
    assert one_line("żółw, 猫") == "żółw, 猫"


def test_values_are_shown_short() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in ("x" * 10_000, list(range(10_000)), endless, "a\nb", 10**1000, {1: {2: {3: {4: 5}}}}):
        assert len(shown(value)) < 200
        assert "\n" not in shown(value)
