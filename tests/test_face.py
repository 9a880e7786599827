"""The package as a library, and `python -m ssl_tf`: light to import, its examples true."""

import ast
import contextlib
import doctest
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_tf
from ssl_tf import __main__ as commands_of_the_package
from ssl_tf import command, pretrain
from ssl_tf.errors import EXIT_CODES, SettingsError
from ssl_tf.networks import resnet
from ssl_tf.settings import PretrainSettings
from tests.two_blocks import TWO_BLOCKS

ROOT = Path(__file__).parent.parent
COMMANDS = commands_of_the_package.COMMANDS


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, **options
    )


def test_importing_the_package_is_fast_and_imports_no_tensorflow():
    # Thirty times in one process, without what Python itself takes to start: the least is asserted,
    # because others use the machine.
    program = """
import json, sys, time
known, times = set(sys.modules), []
for _ in range(30):
    for name in set(sys.modules) - known:
        del sys.modules[name]
    start = time.perf_counter()
    import ssl_tf
    times.append(time.perf_counter() - start)
print(json.dumps([min(times), sorted(sys.modules), dir(ssl_tf)]))
"""
    least, modules, names = json.loads(python("-c", program, check=True).stdout)
    assert least < 0.2
    assert not {"tensorflow", "keras", "numpy", "absl"} & set(modules)
    assert set(ssl_tf.__all__) <= set(names)


@pytest.mark.parametrize(
    ("machine", "given", "kept"),
    [("x86_64", {}, "1"), ("x86_64", {"TF_ENABLE_ONEDNN_OPTS": "0"}, "0"), ("arm64", {}, None)],
)
def test_onednn_computes_on_every_x86_processor_where_nothing_else_is_said(machine, given, kept):
    program = f"""
import os, platform
platform.machine = lambda: {machine!r}
import ssl_tf
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""
    clean = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    assert python("-c", program, check=True, env=clean | given).stdout == f"{kept}\n"


def test_settings_are_made_without_tensorflow():
    program = """
import sys, ssl_tf
ssl_tf.pretrain_settings("configs/quickstart.flags", epochs=2)
ssl_tf.pretrain
print("tensorflow" in sys.modules)
"""
    assert python("-c", program, check=True).stdout == "False\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the examples run: it has the recipes and, after `pretrain`, the run of the examples."""
    directory = tmp_path_factory.mktemp("examples")
    (directory / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
        with contextlib.chdir(directory):
            assert examples_of(pretrain.main) == 3
        yield directory


def examples_of(function):
    """Runs the examples in a docstring; a wrong one fails. Returns how many statements they are."""
    parsed = doctest.DocTestParser().get_doctest(
        function.__doc__, {}, function.__name__, function.__code__.co_filename, 0
    )
    output = []
    results = doctest.DocTestRunner(verbose=False).run(parsed, out=output.append)
    assert not results.failed, "".join(output)
    return results.attempted


@pytest.mark.parametrize(
    "function, statements",
    [(ssl_tf.pretrain_settings, 3), (ssl_tf.load_encoder, 5), (ssl_tf.open_source, 5)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_examples_of_the_docstrings_are_true(function, statements, directory, monkeypatch):
    monkeypatch.chdir(directory)
    assert examples_of(function) == statements


def test_a_step_of_a_run_is_loaded(directory):
    run = directory / "runs" / "mine"
    step = max(int(path.name[5:]) for path in (run / "checkpoints").iterdir())
    newest, same = ssl_tf.load_encoder(run), ssl_tf.load_encoder(run, step=step)
    assert [v.numpy().tobytes() for v in newest.variables] == [
        v.numpy().tobytes() for v in same.variables
    ]
    with pytest.raises(ssl_tf.errors.UserError, match="--step=1;"):
        ssl_tf.load_encoder(run, step=1)


def test_keywords_give_the_settings_of_the_command_line():
    from ssl_tf.settings import flagfiles

    path = ROOT / "configs" / "quickstart.flags"
    arguments = [
        f"--flagfile={path}", "--crop_ratio=0.25,0.75", "--dry_run", "--weight_decay=1.5e-06",
    ]  # fmt: skip
    made = ssl_tf.pretrain_settings(
        path, crop_ratio=(0.25, 0.75), dry_run=True, weight_decay=1.5e-6
    )
    assert made == flagfiles.parse(arguments, PretrainSettings)
    assert made.run.dry_run and made.views.crop_ratio == (0.25, 0.75)
    assert not ssl_tf.pretrain_settings(path, dry_run=False).run.dry_run


@pytest.mark.parametrize(
    "flags, told",
    [
        ({"epoch": 2}, "'epoch'"),
        ({"epochs": -1}, "--epochs=-1.0: must be greater than 0"),
        ({"flagfile": "missing.flags"}, "missing.flags"),
    ],
)
def test_a_wrong_keyword_is_one_line_that_names_the_flag(flags, told):
    with pytest.raises(SettingsError) as raised:
        ssl_tf.pretrain_settings(**{"dataset": "scenes", **flags})
    assert told in str(raised.value) and "\n" not in str(raised.value)


def test_a_source_is_that_of_a_run(tmp_path):
    scenes = {"dataset": "scenes", "scenes": 64}
    whole, rest = ssl_tf.open_source(**scenes), ssl_tf.open_source(**scenes, holdout=20)
    assert (whole.size, rest.size) == (64, 44)
    for given, told in (
        ({"num_images": 63}, "has 64 images, not the --num_images=63"),
        ({"num_classes": 3}, "has 10 classes, not the --num_classes=3"),
        ({"proposals": str(tmp_path)}, str(tmp_path)),
    ):
        with pytest.raises(ssl_tf.errors.UserError, match=told):
            ssl_tf.open_source(**scenes, **given)


def test_none_is_a_flag_that_is_not_given():
    path = ROOT / "configs" / "quickstart.flags"
    assert ssl_tf.pretrain_settings(path, run_dir=None) == ssl_tf.pretrain_settings(path)


def test_a_source_must_be_named():
    with pytest.raises(SettingsError, match="--dataset, --image_folder, --prepared or --tfrecord"):
        ssl_tf.open_source(split="test")


def test_pretrain_is_the_command_and_the_function(capsys, monkeypatch):
    """Whatever is imported first: `import ssl_tf.pretrain` sets the name to the module."""
    assert ssl_tf.pretrain is pretrain is importlib.import_module("ssl_tf.pretrain")
    monkeypatch.setattr(
        "ssl_tf.pretraining.dry_run.describe", lambda settings: settings.run.run_dir
    )
    settings = ssl_tf.pretrain_settings(ROOT / "configs" / "quickstart.flags", dry_run=True)
    assert ssl_tf.pretrain(settings) == Path("runs/quickstart")
    assert capsys.readouterr().out == "runs/quickstart\n"


def test_a_plan_is_that_of_the_run_in_its_directory(directory, monkeypatch, capsys):
    monkeypatch.chdir(directory)
    flags = {"scenes": 128, "run_dir": "runs/mine", "dry_run": True}
    pretrain.main(ssl_tf.pretrain_settings("configs/quickstart.flags", epochs=3, **flags))
    assert "run directory     runs/mine, goes on from step 6\n" in capsys.readouterr().out
    other = ssl_tf.pretrain_settings("configs/quickstart.flags", epochs=4, **flags)
    with pytest.raises(ssl_tf.errors.UserError, match="--epochs=3.0 there, 4.0 here"):
        pretrain.main(other)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        ssl_tf.pretrian


def test_the_version_is_that_of_what_is_installed():
    assert re.fullmatch(r"\d+\.\d+\.\d+", ssl_tf.__version__)
    assert python("setup.py", "--version", check=True).stdout.split()[-1] == ssl_tf.__version__
    # Type checkers look for it beside the package.
    assert Path(ssl_tf.__file__).with_name("py.typed").exists()


def runnable_modules():
    """The modules at the package's root that do something when they are run."""
    for path in Path(ssl_tf.__file__).parent.glob("*.py"):
        guards = (n for n in ast.parse(path.read_text()).body if isinstance(n, ast.If))
        if any("__name__" in ast.unparse(guard.test) for guard in guards):
            yield path.stem


def test_every_command_is_listed_with_what_it_does(capsys):
    assert set(runnable_modules()) == {*COMMANDS, "__main__"}
    commands_of_the_package.main([])
    listed = capsys.readouterr().out.splitlines()
    for name in COMMANDS:
        (line,) = [line for line in listed if line.startswith(f"  {name} ")]
        told = line.split(maxsplit=1)[1]
        assert told == commands_of_the_package.summary(name) and len(line) <= 100
        # A sentence that begins with a verb: Trains, Finds.
        assert re.fullmatch(r"[A-Z][a-z-]+s\b.*[a-z]\.", told), told
    commands_of_the_package.main(["--help"])
    assert capsys.readouterr().out.splitlines() == listed


def test_an_unknown_command_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        commands_of_the_package.main(["pretrian", "--help"])
    assert stopped.value.code == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert "'pretrian'" in told.err and "pretrain" in told.err


@pytest.fixture(params=["python -m ssl_tf", "python -m ssl_tf.NAME"])
def as_process(request):
    """Both ways to run a command."""
    if request.param == "python -m ssl_tf":
        return lambda name, *flags: python("-m", "ssl_tf", name, *flags)
    return lambda name, *flags: python("-m", f"ssl_tf.{name}", *flags)


def test_the_package_runs_a_command_as_its_module_does(as_process):
    done = as_process("pretrain", "--dataset=scenes", "--epochs=-2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --epochs=-2.0: must be greater than 0\n"
    done = as_process("proposals", "inspect", "--proposals=")
    assert done.stderr == "error: --proposals: give the directory of the store\n"


@pytest.mark.parametrize("name", [*COMMANDS, ""])
def test_every_command_tells_the_version_and_its_help(name, capsys, monkeypatch):
    """In this process, because each start of Python and its imports takes a second."""
    for flag in ("--version", "--help", "--help=all"):
        monkeypatch.setattr(sys, "argv", ["ssl_tf", name, flag])
        # As in a fresh process, so that Python has no reason to warn.
        monkeypatch.delitem(sys.modules, f"ssl_tf.{name}", raising=False)
        try:
            commands_of_the_package.main([name, flag] if name else [flag])
        except SystemExit as stopped:
            assert stopped.code in (0, None)
        printed = capsys.readouterr()
        assert printed.err == ""
        if flag == "--version":
            assert printed.out == f"ssl_tf {ssl_tf.__version__}\n"
        elif flag == "--help":
            assert printed.out.count("\n") <= 40
        else:
            assert " ".join(EXIT_CODES.split()) in " ".join(printed.out.split())


def test_the_help_of_actions_names_them_all(capsys):
    actions = {"make": (pretrain.main, PretrainSettings)}
    with pytest.raises(SystemExit) as stopped:
        command.run_action(actions, ["--help"])
    assert stopped.value.code == 0
    assert (
        "  make      Runs the settings to their end, from the newest checkpoint where there is one."
        in capsys.readouterr().out.splitlines()
    )
