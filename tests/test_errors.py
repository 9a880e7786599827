import pytest

from ssl_tf.errors import printable, warn


@pytest.mark.parametrize(
    "name, shown",
    [
        ("a b/Bär_猫.png", "a b/Bär_猫.png"),
        ("\x1b[2Jcat.png", "\\x1b[2Jcat.png"),
        ("x\nerror: forged", "x\\nerror: forged"),
        ("a\rb\tc\x7f\x9b", "a\\rb\\tc\\x7f\\x9b"),
        ("turned\u202egnp", "turned\\u202egnp"),
        ("no_utf8_\udcff", "no_utf8_\\udcff"),
    ],
)
def test_names_cannot_steer_a_terminal_or_forge_a_line(name, shown):
    assert printable(name) == shown
    shown.encode()


def test_a_warning_is_one_line_that_cannot_be_forged(capsys):
    warn("cannot decode x\nerror: forged\x1b[2J.png")
    captured = capsys.readouterr()
    assert captured.err == "warning: cannot decode x\\nerror: forged\\x1b[2J.png\n"
    assert captured.out == ""
