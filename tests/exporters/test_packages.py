import pytest

from ssl_tf.errors import UserError
from ssl_tf.exporters import packages


def test_a_format_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        packages, "NEEDED", {"a": ("zoo", ("json", "no_such_module")), "b": ("zoo", ("json",))}
    )
    packages.check_installed(("b", "saved_model"))
    with pytest.raises(UserError, match=r"--format=a: needs no_such_module; .*-e '\.\[zoo\]'"):
        packages.check_installed(("b", "a"))


def test_what_cannot_be_imported_is_told(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('operator\\nis missing')")
    monkeypatch.syspath_prepend(tmp_path)
    assert packages.obstacle("json", "csv") == ""
    assert packages.obstacle("json", "no_such_module") == "no_such_module is not installed"
    told = "broken_module cannot be imported (operator is missing)"
    assert packages.obstacle("broken_module", "json") == told
