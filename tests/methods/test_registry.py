"""The table of methods says the truth about their classes and their flags."""

import dataclasses
import inspect
import re
import subprocess
import sys

import pytest

from ssl_tf import settings
from ssl_tf.methods.base import Method
from ssl_tf.methods.pretext import TASKS
from ssl_tf.methods.registry import method_class
from ssl_tf.settings import METHODS, ModelSettings, PretrainSettings, fields, flagfiles
from ssl_tf.settings.methods import MethodFlags, ObjectPairFlags, QueueFlags
from tests.methods.small_methods import SMALL, make


def test_tasks_offer_what_there_is():
    assert tuple(TASKS) == settings.PRETEXT


@pytest.mark.parametrize("name", METHODS)
def test_a_row_names_a_class_that_leaves_nothing_abstract(name):
    found = method_class(name)
    assert issubclass(found, Method) and not inspect.isabstract(found)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_reads_the_groups_of_its_row_and_no_others(name, monkeypatch):
    """Both ways: what is read must be in the row, and what is in the row must be read."""
    read = set()

    def get(flags, group):
        read.add(group)
        return getattr(flags, group.__name__)

    monkeypatch.setattr(MethodFlags, "__getitem__", get)
    make(f"--method={name}", *SMALL[name].flags, num_classes=5)
    assert read - {ObjectPairFlags} == set(METHODS[name].flags) - {ObjectPairFlags}


@pytest.mark.parametrize("name", METHODS)
def test_the_flags_of_a_row_are_flags(name):
    assert METHODS[name].flag_names <= {*fields.names(PretrainSettings)}


def test_a_flag_belongs_to_one_group():
    names = fields.names(ModelSettings)
    assert len(names) == len(set(names))
    groups = {group for row in METHODS.values() for group in row.flags}
    assert groups == {field.type for field in dataclasses.fields(MethodFlags)}


def test_flags_outside_the_row_cannot_be_read():
    blueprint_flags = []

    class Greedy(method_class("simsiam")):
        def __init__(self, builder):
            blueprint_flags.append(builder.flags(QueueFlags))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl_tf.methods.simsiam.SimSiam", Greedy)
        with pytest.raises(LookupError, match="QueueFlags is not in the row of --method=simsiam"):
            make("--method=simsiam")
    assert not blueprint_flags


def test_flags_of_all_methods_are_written_and_read_back(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("--dataset=none\n--method=byol\n--queue=24\n--center_momentum=0.5\n")
    given = flagfiles.read_flagfile(path, PretrainSettings)
    flagfiles.write_flagfile(given, path)
    assert flagfiles.read_flagfile(path, PretrainSettings) == given
    assert given.model.flags[QueueFlags].queue == 24
    assert "--center_momentum=0.5" in path.read_text().splitlines()


def test_settings_name_no_method():
    """The table is the only place: no other rule of the settings asks for a method by name."""
    for module in ("model", "pretraining"):
        source = inspect.getsource(getattr(settings, module))
        code = re.sub(r'setting\(.*?\n    \)|"""', "", source, flags=re.DOTALL)
        names = "|".join(METHODS)
        assert not re.search(rf'(==|!=| in) *\(?"({names})"', code), module


def test_the_table_is_read_without_tensorflow():
    program = "import sys; import ssl_tf.settings; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
