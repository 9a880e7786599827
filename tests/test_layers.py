"""Imports between the folders of ssl_tf run down, those inside of functions too."""

import ast
import collections
from pathlib import Path

import pytest

from tests.longest import LONGEST

PACKAGE = Path(__file__).parents[1] / "ssl_tf"
# Bottom to top. A folder imports only from lines above its own, and so does a module that lies at
# the root of the package; "ssl_tf" is the package itself. Root modules without a line are commands,
# which stand above all and are imported by none.
LAYERS = """
    errors cores markdown quiet
    files locks pickles
    settings
    command networks views sharding
    data weights
    data/scenes data/proposals data/openimages
    data/sources
    data/annotations
    training
    methods exporters preparation
    evaluation discovery downstream
    segmentation detection
    embedding experiments
    pretraining
    benchmarking
    pretrain
    ssl_tf
""".strip().splitlines()
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer.split()}
# Elsewhere than in settings/, whose files are named after what they set, and at the root, whose
# commands are named after what they run, a name stands for one thing; these folders tell two apart.
SHARED_NAMES = {
    "run": {"discovery", "pretraining"},
}


def place(path, package):
    """Where a file lies: its folder, or its own name at the root."""
    folder = path.parent.relative_to(package).as_posix()
    if folder != ".":
        return folder
    return package.name if path.stem == "__init__" else path.stem


def imported(tree, package):
    """Files of the package that a module imports, wherever in it the import stands."""
    for found in ast.walk(tree):
        if isinstance(found, ast.Import):
            names = [alias.name for alias in found.names]
        elif isinstance(found, ast.ImportFrom):
            assert found.level == 0, "imports are absolute"
            names = [f"{found.module}.{alias.name}" for alias in found.names]
        else:
            continue
        for name in names:
            first, *parts = name.split(".")
            if first != package.name or parts == ["__version__"]:
                continue
            # The last part may be a function of the module or package that stands before it.
            for known in (parts, parts[:-1]):
                path = package.joinpath(*known)
                if known and path.with_suffix(".py").exists():
                    yield path.with_suffix(".py")
                    break
                if (path / "__init__.py").exists():
                    yield path / "__init__.py"
                    break


def arrows(package):
    """Place -> the places that it imports from."""
    found = collections.defaultdict(set)
    for path in package.rglob("*.py"):
        here = place(path, package)
        found[here] |= {place(other, package) for other in imported(parse(path), package)} - {here}
    return dict(found)


def parse(path):
    return ast.parse(path.read_text(), str(path))


def upward(found, ranks):
    """The arrows that do not run down, as text."""
    top = len(ranks)
    return [
        f"{here} -> {other}"
        for here, others in sorted(found.items())
        for other in sorted(others)
        if ranks.get(other, top) >= ranks.get(here, top)
    ]


def test_imports_between_folders_run_down():
    found = arrows(PACKAGE)
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*/*.py")}
    assert folders < RANKS.keys() < found.keys(), "a folder has no layer, or a layer no folder"
    assert upward(found, RANKS) == []


@pytest.mark.parametrize(
    "source, expected",
    [
        ("import pack.low", ["high -> low"]),
        ("from pack import low", ["high -> low"]),
        ("from pack.low import thing", ["high -> low"]),
        ("def late():\n    from pack.low.file import thing", ["high -> low"]),
        ("import pack.low.file as name", ["high -> low"]),
        ("from pack import __version__", []),
        ("from pack import thing", ["high -> pack"]),
        ("import packaging, os.path", []),
    ],
)
def test_an_import_that_runs_up_is_found_however_it_is_written(source, expected, tmp_path):
    package = tmp_path / "pack"
    for name in ("__init__", "low/__init__", "low/file", "high/__init__", "high/file"):
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source if name == "high/file" else "")
    assert upward(arrows(package), {"high": 0, "low": 1, "pack": 2}) == expected
    assert upward(arrows(package), {"low": 0, "pack": 1, "high": 2}) == []


def test_a_name_stands_for_one_thing():
    folders = collections.defaultdict(set)
    for path in PACKAGE.rglob("*/*.py"):
        folder = path.parent.relative_to(PACKAGE).as_posix()
        if not path.stem.startswith("__") and folder != "settings":
            folders[path.stem].add(folder)
    assert {name: where for name, where in folders.items() if len(where) > 1} == SHARED_NAMES


def test_every_folder_has_tests_also_without_the_longest():
    tests = PACKAGE.parent / "tests"
    for name in LONGEST:
        assert (tests / name).is_file()
    folders = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("*/*.py")}
    for folder in folders:
        files = {f"{folder.as_posix()}/{path.name}" for path in (tests / folder).glob("test_*.py")}
        assert files - set(LONGEST), folder


def test_stored_data_is_read_where_its_damage_is_named():
    # `Source.read` names file and record; these read no source, or are the text of an example.
    others = {"data/source.py", "data/boxes.py", "embedding/record_rows.py", "__init__.py"}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if ".as_numpy_iterator(" in path.read_text()
    }
    assert found == others
