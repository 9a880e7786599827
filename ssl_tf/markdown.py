"""Tables in Markdown."""

from collections.abc import Sequence


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The lines of a table, each with its line break.

    Args:
        heading: of the columns.
        rows: their cells; a bar in one does not divide it.
    """
    lines = [[_escaped(cell) for cell in line] for line in (heading, *rows)]
    lines.insert(1, ["---"] * len(heading))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
