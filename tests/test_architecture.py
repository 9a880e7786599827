"""Imports between folders run down, and the picture of them is of today's imports."""

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location(
    "draw_architecture", ROOT / "scripts" / "draw_architecture.py"
)
drawing = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(drawing)


def package(directory, **files):
    """A package `pack` of files, given as path with __ for / -> source."""
    for name, source in files.items():
        path = directory / "pack" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in {path.parent, directory / "pack"}:
            (folder / "__init__.py").touch()
        path.write_text(source)
    return directory / "pack"


def test_arrows_are_the_imports_between_folders(tmp_path):
    made = package(
        tmp_path,
        run="from pack import __version__, errors\nif __name__ == '__main__':\n    pass",
        other='from pack.a.b import B\nif __name__ == "__main__":\n    pass',
        errors="import os",
        a__b="def late():\n    from pack.c.d.e import E\nfrom pack.a import x\n",
        a__x="from pack import errors",
        c__d__e="import pack.errors\nfrom pack import c",
    )
    (made / "run.py").write_text((made / "run.py").read_text().replace("'", '"'))
    assert drawing.folder_imports(made) == {
        "commands": {"errors", "a"},
        "errors": set(),
        "a": {"c", "errors"},
        "c": {"errors"},
    }


def test_a_folder_lies_above_all_that_it_imports():
    arrows = {"top": {"left", "low"}, "left": {"low"}, "low": set(), "alone": set()}
    assert drawing.layers(arrows) == {"top": 2, "left": 1, "low": 0, "alone": 0}


def test_a_circle_is_told():
    with pytest.raises(ValueError, match="^a imports b imports c imports a$"):
        drawing.layers({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "top": {"b"}})


def test_an_arrow_up_fails_and_draws_nothing(tmp_path, monkeypatch, capsys):
    made = package(tmp_path, a__x="from pack.b import y", b__y="from pack.a import x")
    made.rename(tmp_path / "ssl_tf")
    for path in (tmp_path / "ssl_tf").rglob("?.py"):
        path.write_text(path.read_text().replace("pack", "ssl_tf"))
    monkeypatch.setattr(drawing, "ROOT", tmp_path)
    assert drawing.main([str(tmp_path / "picture.svg")]) == 1
    assert capsys.readouterr().err == "error: an arrow goes up: a imports b imports a\n"
    assert not (tmp_path / "picture.svg").exists()


def test_imports_between_the_folders_of_the_package_run_down():
    arrows = drawing.folder_imports(ROOT / "ssl_tf")
    layer_of = drawing.layers(arrows)
    for name, imported in arrows.items():
        assert all(layer_of[name] > layer_of[below] for below in imported)
    assert layer_of["commands"] == max(layer_of.values())
    assert arrows["settings"] <= {"errors", "files"}
    folders = {path.parent.name for path in (ROOT / "ssl_tf").glob("*/__init__.py")}
    assert folders < arrows.keys()


def test_the_picture_is_of_these_imports(tmp_path):
    arrows = drawing.folder_imports(ROOT / "ssl_tf")
    drawn = ElementTree.parse(ROOT / "docs" / "architecture.svg")
    described = drawn.find(".//{http://purl.org/dc/elements/1.1/}description").text
    assert described == drawing.describe(arrows), "run python scripts/draw_architecture.py"
    drawing.draw(arrows, drawing.folders_inside(ROOT / "ssl_tf"), tmp_path / "one.svg")
    text = "".join(ElementTree.parse(tmp_path / "one.svg").getroot().itertext())
    assert all(name in text for name in (*arrows, "sources", "errors.py"))
