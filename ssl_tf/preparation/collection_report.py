"""The report of a collection: a list of all images, figures, contact sheets and a page."""

import collections
import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ssl_tf.data.prepared_manifest import IMAGES, REPORT
from ssl_tf.errors import printable
from ssl_tf.files import replacing, write_json, write_text
from ssl_tf.preparation import work_files
from ssl_tf.preparation.choosing import SPLITS, Choice
from ssl_tf.preparation.facts_table import FactsTable, read_facts
from ssl_tf.preparation.file_list import class_of
from ssl_tf.preparation.image_units import KEPT
from ssl_tf.preparation.report_page import page
from ssl_tf.settings import PrepareSettings, fields
from ssl_tf.views.sheet import Cell, draw_sheet

PAGE = "report.html"
SHEET, ALIKE_SHEET = "contact_sheet.png", "look_alikes.png"
EXACT, NEAR = "same bytes", "looks alike"
_LEFT_OUT = "left out"
_SPLITS = (*SPLITS, _LEFT_OUT)
_COLUMNS = (
    "id", "class", "split", "status", "reason", "same_as", "looks_like", "format", "mode", "width",
    "height", "bytes", "sha256",
)  # fmt: skip
# Upper ends of the classes of short sides, in pixels.
_SIDES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_LISTED = 100
_PAIRS = 24
_TILE = 160
_TILES_IN_A_ROW = 8


class Counts:
    """Figures of a collection, counted one image after another.

    Attributes:
        of: name of the figure -> value -> number of images.
        listed: status -> the first images with it, with the reason.
    """

    def __init__(self):
        self.of: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.listed: dict[str, list[list[str]]] = collections.defaultdict(list)
        self._short_sides: list[int] = []
        self._bytes = 0

    def add(self, row: dict, facts: dict) -> None:
        """Counts an image.

        Args:
            row: its line in the list of images.
            facts: from `read_image`.
        """
        self.of["status"][row["status"]] += 1
        split = row["split"] or _LEFT_OUT
        self.of["split"][split] += 1
        if row["class"]:
            self.of[f"classes, {split}"][row["class"]] += 1
        self._bytes += facts.get("bytes", 0)
        if row["status"] != KEPT and len(self.listed[row["status"]]) < _LISTED:
            reason = row["reason"] or row["same_as"] or row["looks_like"]
            self.listed[row["status"]].append([row["id"], reason])
        if "format" not in facts:
            return
        self.of["format"][facts["format"]] += 1
        side = min(facts["width"], facts["height"])
        self._short_sides.append(side)
        ends = [end for end in _SIDES if side <= end]
        self.of["short side"][f"up to {ends[0]}" if ends else f"above {_SIDES[-1]}"] += 1
        if "mode" in facts:
            self.of["mode"][facts["mode"]] += 1
            for name in ("turned", "profile", "several", "transparent"):
                self.of["special"][name] += facts[name]

    def summary(self) -> dict:
        """All figures as JSON values; counts are in falling order, sides in rising order."""
        figures = {name: dict(counter.most_common()) for name, counter in self.of.items()}
        order = [*(f"up to {end}" for end in _SIDES), f"above {_SIDES[-1]}"]
        sides = figures.get("short side", {})
        figures["short side"] = {name: sides[name] for name in order if name in sides}
        by_split = {split: figures.pop(f"classes, {split}", {}) for split in _SPLITS}
        figures["classes"] = {
            name: {split: by_split[split].get(name, 0) for split in _SPLITS}
            for name in sorted({name for counts in by_split.values() for name in counts})
        }
        median = float(np.median(self._short_sides)) if self._short_sides else 0.0
        return {
            "images": sum(self.of["status"].values()),
            "bytes": self._bytes,
            "median short side": median,
            **figures,
        }


def write_report(
    settings: PrepareSettings, units: int, table: FactsTable, choice: Choice, labelled: bool
) -> dict:
    """Writes the list of images, the figures, the sheets and the page.

    Args:
        settings: of the preparation.
        units: number of units.
        table: the facts of all images.
        choice: what becomes of them.
        labelled: the images have classes.

    Returns:
        The figures.
    """
    output = Path(settings.output)
    shown, pairs = _drawn(choice, settings), _pairs(choice)
    wanted = {*shown, *(row for pair in pairs for row in pair)}
    captions: dict[int, list[str]] = {}
    counts = Counts()
    facts_of_all = (facts for _, facts in read_facts(output / work_files.WORK, units))
    with replacing(output / IMAGES) as temporary:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            writer.writeheader()
            for number, (row, facts) in enumerate(_rows(facts_of_all, table, choice, labelled)):
                writer.writerow(row)
                counts.add(row, facts)
                if number in wanted:
                    size = f"{facts['width']}x{facts['height']} {facts['format']}"
                    captions[number] = [printable(os.path.basename(facts["id"])), size]
    figures = counts.summary()
    figures["alike in several classes"] = int(choice.contradicted.sum())

    def cell(row: int) -> Cell:
        return _tile(output / work_files.WORK, table, row), captions[row]

    if shown:
        tiles = [cell(row) for row in shown]
        rows = [tiles[n : n + _TILES_IN_A_ROW] for n in range(0, len(tiles), _TILES_IN_A_ROW)]
        draw_sheet(rows, output / SHEET)
    if pairs:
        rows = [
            [cell(row) for pair in pairs[n : n + 4] for row in pair]
            for n in range(0, len(pairs), 4)
        ]
        draw_sheet(rows, output / ALIKE_SHEET)
    listed = {status: counts.listed[status] for status in sorted(counts.listed)}
    # The page may be sent on, so it does not tell where it was made.
    flags = {name: text for name, text in fields.result_flags(settings).items() if name != "output"}
    write_json(output / REPORT, {"flags": flags, **figures, "left out": listed})
    sheets = {name: output / name for name in (SHEET, ALIKE_SHEET) if (output / name).exists()}
    write_text(output / PAGE, page(flags, figures, listed, sheets))
    return figures


def _rows(
    facts_of_all: Iterable[dict], table: FactsTable, choice: Choice, labelled: bool
) -> Iterator[tuple[dict, dict]]:
    """Yields the line in the list and the facts of each image."""
    for number, facts in enumerate(facts_of_all):
        same, alike = int(choice.same[number]), int(choice.alike[number])
        split = int(choice.split[number])
        status = facts["status"]
        if status == KEPT and split < 0:
            status = EXACT if same != number else NEAR
        row = {
            **facts,
            "class": class_of(facts["id"]) if labelled else "",
            "split": SPLITS[split] if split >= 0 else "",
            "status": status,
            "reason": facts.get("reason", ""),
            "same_as": table.ids[same] if same != number else "",
            "looks_like": table.ids[alike] if alike not in (number, same) else "",
        }
        yield row, facts


def _drawn(choice: Choice, settings: PrepareSettings) -> list[int]:
    """Rows for the contact sheet, drawn from the kept ones."""
    kept = np.flatnonzero(choice.split >= 0)
    count = min(settings.sheet_images, kept.size)
    chosen = np.random.RandomState(settings.seed).permutation(kept)[:count]
    return np.sort(chosen).tolist()


def _pairs(choice: Choice) -> list[tuple[int, int]]:
    """The first pairs of rows that look alike and have other bytes."""
    itself = np.arange(len(choice.alike))
    rows = np.flatnonzero((choice.alike != itself) & (choice.same == itself))
    return [(int(choice.alike[row]), int(row)) for row in rows[:_PAIRS]]


def _tile(work: Path, table: FactsTable, row: int) -> np.ndarray:
    """A prepared image on a square of `_TILE` pixels, uint8."""
    with work_files.path_of(work, work_files.PIXELS, int(table.unit[row])).open("rb") as file:
        file.seek(int(table.offset[row]))
        encoded = file.read(int(table.length[row]))
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(ImageOps.pad(image, (_TILE, _TILE), color="#e8e8e8"))
