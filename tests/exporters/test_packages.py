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
