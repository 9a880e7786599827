"""The help of every command: on one screen, or all flags."""

import dataclasses

import pytest

from ssl_tf import settings
from ssl_tf.errors import EXIT_CODES
from ssl_tf.settings import PretrainSettings, fields
from ssl_tf.settings.fields import setting
from ssl_tf.settings.help_page import COMMON, help_text

# Everything that a command takes.
TAKEN = {
    name: kind
    for name, kind in vars(settings).items()
    if name.endswith("Settings") and dataclasses.is_dataclass(kind)
}
DOCUMENT = """Does something.

`python -m ssl_tf.some --flagfile=configs/some.flags
--output=DIR`
"""


@pytest.mark.parametrize("name", TAKEN)
def test_the_help_fits_a_screen(name):
    lines = help_text(TAKEN[name], DOCUMENT, "python -m ssl_tf.some", False).splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    assert lines[:4] == [
        "Does something.",
        "",
        "Usage:    python -m ssl_tf.some --FLAG=VALUE ... [--flagfile=FILE]",
        "Example:  python -m ssl_tf.some --flagfile=configs/some.flags --output=DIR",
    ]


@pytest.mark.parametrize("name", TAKEN)
def test_all_flags_are_there_once_with_their_descriptions(name):
    text = help_text(TAKEN[name], DOCUMENT, "python -m ssl_tf.some", True)
    flat = " ".join(text.split())
    names = [line.split()[0].split("=")[0] for line in text.splitlines() if line[:4] == "  --"]
    taken = [field for field, _ in fields.flag_fields(TAKEN[name])]
    assert sorted(names) == sorted(f"--{field.name}" for field in taken)
    for field in taken:
        assert " ".join(field.metadata["description"].split()) in flat
    assert " ".join(EXIT_CODES.split()) in flat


def test_the_common_flags_are_flags():
    known = {name for kind in TAKEN.values() for name in fields.names(kind)}
    named = [name for names in COMMON.values() for name in names]
    assert len(set(named)) == len(named) and set(named) <= known


def test_the_first_screen_of_pretraining_begins_with_the_images():
    lines = help_text(PretrainSettings, DOCUMENT, "python -m ssl_tf.some", False).splitlines()
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Images:", "Encoder:", "Method, views, network:", "Training:", "Run:"]
    (method,) = [line for line in lines if line.startswith("  --method=ma_ssrl ")]
    assert "One of: ma_ssrl, byol, moco" in method
    assert lines[-1].startswith("--help=all prints all ")


@dataclasses.dataclass(frozen=True)
class Small:
    """Few flags."""

    speed: float = setting(0.5, "How fast.", above=0, high=2)
    kind: str = setting("a", "Which kind.", choices=("", "a", "b"))
    loud: bool = setting(True, "Make noise.")
    names: tuple[str, ...] = setting((), "Names.")


def test_what_is_known_of_a_flag_stands_beside_it():
    whole = help_text(Small, "", "python -m ssl_tf.some", True)
    assert "  --speed=0.5                 How fast. Above 0 and at most 2." in whole.splitlines()
    text = help_text(Small, "", "python -m ssl_tf.some", False)
    for line in (
        "  --speed=0.5                 How fast.",
        "  --kind=a                    Which kind. One of: a, b.",
        "  --loud                      Make noise. --noloud turns it off.",
        "  --names=...                 Names.",
    ):
        assert line in text.splitlines()
    assert "--help=all" not in text and "Exit codes: 0 done" in text
