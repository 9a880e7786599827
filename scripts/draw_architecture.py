"""Draws docs/architecture.svg: the folders of ssl_tf in layers, with their imports as arrows.

    python scripts/draw_architecture.py [FILE]

Imports are read from the source, also those inside functions. A folder stands above all that it
imports, so arrows run down; where they cannot, because folders import each other in a circle,
nothing is drawn, the circle is printed, and the exit code is 1.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
# One box for all files at the root of the package that a user can run, and for its public names.
COMMANDS = "commands"

Arrows = dict[str, set[str]]


def folder_imports(package: Path) -> Arrows:
    """The folders that each folder of a package imports.

    A folder inside another belongs to it. Of the files at the root, those that can be run are one
    box, together with the package's own `__init__`; each other file is a box of its own.

    Args:
        package: directory of the package; its name is that of the import.

    Returns:
        Name of a folder or file -> the names of those that it imports; every name is a key.
    """
    box_of = {module: _box(package, path) for module, path in _modules(package).items()}
    arrows: Arrows = {box: set() for box in box_of.values()}
    for module, path in _modules(package).items():
        for imported in _imported(path, module):
            # Of `ssl_tf.errors.UserError` the longest part that is a module. The package itself is
            # imported before each of its modules: its version is no arrow.
            while imported and imported not in box_of:
                imported = imported.rpartition(".")[0]
            if imported and imported != package.name and box_of[imported] != box_of[module]:
                arrows[box_of[module]].add(box_of[imported])
    return arrows


def layers(arrows: Arrows) -> dict[str, int]:
    """The layer of each folder: 0 imports nothing, the others lie one above all that they import.

    Raises:
        ValueError: folders import each other in a circle, which the message spells out.
    """
    found: dict[str, int] = {}

    def layer(name: str, way: tuple[str, ...]) -> int:
        if name in way:
            raise ValueError(" imports ".join((*way[way.index(name) :], name)))
        if name not in found:
            below = [layer(imported, (*way, name)) for imported in sorted(arrows[name])]
            found[name] = 1 + max(below, default=-1)
        return found[name]

    for name in sorted(arrows):
        layer(name, ())
    return found


def describe(arrows: Arrows) -> str:
    """The arrows as text, which the picture carries as its description."""
    return "; ".join(
        f"{name} imports {', '.join(sorted(imported)) or 'nothing'}"
        for name, imported in sorted(arrows.items())
    )


def draw(arrows: Arrows, inside: dict[str, list[str]], picture: Path) -> None:
    """Writes the picture.

    Arrows that follow from others are left out: where a imports b and b imports c, one from a to c
    says nothing new about what lies above what.

    Args:
        arrows: as `folder_imports` gives them.
        inside: folder -> the folders in it.
        picture: SVG file.
    """
    import matplotlib

    matplotlib.use("Agg")
    # The same bytes for the same arrows, and text that stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "ssl_tf", "svg.fonttype": "none"})
    from matplotlib import pyplot

    layer_of = layers(arrows)
    places = _places(arrows, layer_of)
    floors = 1 + max(layer_of.values())
    figure, axes = pyplot.subplots(figsize=(11, 1.05 * floors))
    texts = {name: _text(name, inside) for name in arrows}
    for name, imported in arrows.items():
        for below in sorted(imported - _reached(arrows, imported)):
            (x, y), (to_x, to_y) = places[name], places[below]
            axes.annotate(
                "",
                xy=(to_x, to_y + _half_height(texts[below])),
                xytext=(x, y - _half_height(texts[name])),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": "#7a8794",
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
                zorder=1,
            )
    for name, (x, y) in places.items():
        axes.text(
            x,
            y,
            texts[name],
            ha="center",
            va="center",
            linespacing=1.3,
            bbox={
                "boxstyle": "round,pad=0.45",
                "facecolor": "#f2f2f2" if texts[name].endswith(".py") else "#dcebf7",
                "edgecolor": "#44525f",
            },
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.6, floors - 0.4)
    axes.axis("off")
    metadata = {"Date": None, "Creator": None, "Description": describe(arrows)}
    figure.savefig(picture, bbox_inches="tight", metadata=metadata)
    pyplot.close(figure)


def folders_inside(package: Path) -> dict[str, list[str]]:
    """Folder of the package -> the folders with modules in it."""
    return {
        folder.parent.name: sorted(init.parent.name for init in folder.parent.glob("*/__init__.py"))
        for folder in package.glob("*/__init__.py")
    }


def _modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file, of all modules of a package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _box(package: Path, path: Path) -> str:
    parts = path.relative_to(package).parts
    if len(parts) > 1:
        return parts[0]
    runs = 'if __name__ == "__main__":' in path.read_text()
    return COMMANDS if runs or parts[0] == "__init__.py" else path.stem


def _imported(path: Path, module: str) -> Iterator[str]:
    """Dotted names of what a file imports, of modules or of names in them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{module}: relative imports are not read")
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _reached(arrows: Arrows, names: set[str]) -> set[str]:
    """All that is imported by these, directly or not; themselves only where others import them."""
    found: set[str] = set()
    waiting = [below for name in names for below in arrows[name]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(arrows[name])
    return found


def _places(arrows: Arrows, layer_of: dict[str, int]) -> dict[str, tuple[float, float]]:
    """x in [0, 1] and layer of each box; a box stands near those that it imports."""
    places: dict[str, tuple[float, float]] = {}
    for floor in range(1 + max(layer_of.values())):
        names = sorted(name for name, layer in layer_of.items() if layer == floor)

        def mean_below(name: str) -> float:
            below = [places[imported][0] for imported in arrows[name]]
            return sum(below) / len(below) if below else 0.5

        names.sort(key=mean_below)
        # Every second floor is shifted, so that arrows pass beside the boxes between.
        shift = 0.06 if floor % 2 else -0.06
        for place, name in enumerate(names):
            places[name] = ((place + 0.5) / len(names) + shift, floor)
    return places


def _text(name: str, inside: dict[str, list[str]]) -> str:
    """What stands in a box: the folder or file, and the folders inside, two a line."""
    if name == COMMANDS:
        return name
    if name not in inside:
        return f"{name}.py"
    folders = inside[name]
    return "\n".join([name, *(", ".join(folders[i : i + 2]) for i in range(0, len(folders), 2))])


def _half_height(text: str) -> float:
    """Of a box with this text, as a share of a layer's height."""
    return 0.21 + 0.115 * text.count("\n")


def main(arguments: list[str]) -> int:
    """Draws the picture, or tells which folders import each other. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, nargs="?", default=PICTURE, help="SVG or PNG")
    picture = parser.parse_args(arguments).picture
    package = ROOT / "ssl_tf"
    arrows = folder_imports(package)
    try:
        layers(arrows)
    except ValueError as circle:
        print(f"error: an arrow goes up: {circle}", file=sys.stderr)
        return 1
    draw(arrows, folders_inside(package), picture)
    print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
