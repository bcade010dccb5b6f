"""The `jaxcnn` command."""

from __future__ import annotations

import pytest

from jaxcnn import cli


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["jaxcnn", *arguments])
    cli.main()


def test_models(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "models")
    assert capsys.readouterr().out.split() == ["cifar10_quick", "lenet"]


def test_summary(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "summary", "cifar10_quick", "--shape", "32", "32", "3")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Tudui("
    assert lines[-1] == "145,578 parameters"


def test_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "data", "digits", "--split", "test")
    assert "images=(359, 8, 8, 1)" in capsys.readouterr().out


def test_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JAXCNN_TRACEBACK", raising=False)
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "summary", "lenett", "--shape", "28", "28", "1")
    error = capsys.readouterr().err
    assert error == "error: create: unknown model, got name='lenett'; close names: ['lenet'].\n"


def test_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXCNN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown model"):
        call(monkeypatch, "summary", "lenett", "--shape", "28", "28", "1")
