"""The page of the report: HTML of one file beside its pictures, which needs no server."""

import dataclasses
import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ssl_tf.embedding.near_duplicates import NEAR_DUPLICATES, Pairs
from ssl_tf.embedding.rows import Rows
from ssl_tf.embedding.unreadable_list import UNREADABLE
from ssl_tf.errors import printable
from ssl_tf.files import write_text

PAGE = "report.html"
# Pictures beside the page.
NEIGHBOURS = "neighbours.png"
MAP = "map.png"
PAIRS = "near_duplicates.png"
_LISTED = 50
_QUANTILES = (0.01, 0.5, 0.99, 0.999)
_STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222 }
img { max-width: 100%; height: auto; border: 1px solid #ddd }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border-bottom: 1px solid #ddd; padding: 0.2em 1em 0.2em 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere }
pre { background: #f5f5f5; padding: 0.8em; overflow-x: auto }
"""
# How each format is read.
_READING = {
    "parquet": 'table = pyarrow.parquet.read_table("parquet")  # or pandas.read_parquet',
    "numpy": (
        'shards = [numpy.load(p) for p in sorted(glob.glob("numpy/*.npz"))]\n'
        'features = numpy.concatenate([s["features"] for s in shards])'
    ),
    "tfrecord": (
        'tf.data.TFRecordDataset(sorted(glob.glob("tfrecord/*.tfrecord"))).map(\n'
        "    lambda record: tf.io.parse_single_example(record, {{\n"
        '        "id": tf.io.FixedLenFeature([], tf.string),\n'
        '        "features": tf.io.FixedLenFeature([{features}], tf.float32),\n'
        "    }})\n"
        ")"
    ),
}


@dataclasses.dataclass(frozen=True)
class Findings:
    """What the page tells.

    Attributes:
        facts: of the manifest.
        unreadable: index and id of the images without a row.
        rows: the rows that the report looks at.
        random_cosines: cosines of random pairs of them, ascending.
        least_cosine: of near-duplicates.
        pairs: the near-duplicates among these rows.
        on_map: number of points on the map.
        projection: "tsne" or "pca".
    """

    facts: dict[str, Any]
    unreadable: list[tuple[int, str]]
    rows: Rows
    random_cosines: np.ndarray
    least_cosine: float
    pairs: Pairs
    on_map: int
    projection: str


def write_page(output: Path, findings: Findings) -> Path:
    """Writes `report.html`, and returns its path."""
    facts = findings.facts
    title = f"Features of {facts['source']}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        _facts_table(findings),
        "<h2>Neighbours</h2>",
        "<p>Each row: an image, then the images whose features have the largest cosine with its "
        "own. A good encoder shows the same kind of thing along a row. Pictures are centre "
        "squares, which encoders see.</p>",
        _random_pairs(findings.random_cosines),
        _picture(NEIGHBOURS),
        "<h2>Map</h2>",
        _map_note(findings),
        _picture(MAP),
        "<h2>Near-duplicates</h2>",
        *_duplicates(findings),
        *_unreadable(findings.unreadable),
        "<h2>Read the table</h2>",
        *(f"<pre>{html.escape(_READING[name].format(**facts))}</pre>" for name in facts["formats"]),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )
    write_text(output / PAGE, page)
    return output / PAGE


def _text(value: object) -> str:
    """A value as text of a page; names may hold anything."""
    return html.escape(printable(str(value)))


def _table(rows: Iterable[Iterable[object]], head: Iterable[object] = ()) -> str:
    titles = "".join(f"<th>{_text(title)}</th>" for title in head)
    lines = [f"<tr>{titles}</tr>"] if titles else []
    lines += ["<tr>" + "".join(f"<td>{_text(c)}</td>" for c in row) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _picture(name: str) -> str:
    return f'<p><a href="{name}"><img src="{name}" alt="{name}"></a></p>'


def _facts_table(findings: Findings) -> str:
    facts = findings.facts
    rows = [
        (
            "images",
            f"{facts['images']}, {facts['unreadable']} of them unreadable and without a row",
        ),
        ("encoder", facts["encoder"]),
        ("features", f"{facts['features']}, {facts['dtype']}"),
        ("input", f"{facts['image_size']} pixels"),
        ("table", ", ".join(f"{name}/, {facts['shards']} files" for name in facts["formats"])),
    ]
    if len(findings.rows) < facts["rows"]:
        rows.append(("this report", f"{len(findings.rows)} evenly spaced images"))
    return _table(rows)


def _random_pairs(cosines: np.ndarray) -> str:
    if not cosines.size:
        return "<p>There is one image, and nothing to compare it to.</p>"
    values = np.quantile(cosines, _QUANTILES)
    told = ", ".join(f"{100 * q:g} % up to {v:.3f}" for q, v in zip(_QUANTILES, values))
    return f"<p>For comparison, the cosines of random pairs: {told}.</p>"


def _map_note(findings: Findings) -> str:
    how = {
        "tsne": "t-SNE: near points are alike; distances between far groups mean nothing",
        "pca": "the first two principal components",
    }
    coloured = "class" if findings.rows.single_label is not None else "cluster (k-means)"
    return (
        f"<p>{findings.on_map} images by {how[findings.projection]}. Colour: {coloured}. At the "
        "right the image nearest the middle of each cell.</p>"
    )


def _duplicates(findings: Findings) -> list[str]:
    pairs, rows = findings.pairs, findings.rows
    told = f"{pairs.total} pairs have a cosine of at least {findings.least_cosine:g}"
    if not pairs.total:
        return [f"<p>{told}.</p>"]
    listed = [
        (f"{cosine:.4f}", rows.id[first], rows.id[second])
        for first, second, cosine in zip(
            pairs.first[:_LISTED], pairs.second[:_LISTED], pairs.cosine[:_LISTED]
        )
    ]
    more = "; all are in"
    if len(pairs.first) < pairs.total:
        more = (
            "; a larger --duplicate_cosine tells them from images that are only alike. The nearest "
            f"{len(pairs.first)} are in"
        )
    return [
        f'<p>{told}{more} <a href="{NEAR_DUPLICATES}">{NEAR_DUPLICATES}</a>.</p>',
        _picture(PAIRS),
        _table(listed, ("cosine", "one image", "another")),
    ]


def _unreadable(unreadable: list[tuple[int, str]]) -> list[str]:
    if not unreadable:
        return []
    return [
        "<h2>Unreadable images</h2>",
        f"<p>{len(unreadable)} images cannot be decoded and have no row; all are in <a href="
        f'"{UNREADABLE}">{UNREADABLE}</a>.</p>',
        _table(unreadable[:_LISTED], ("index", "id")),
    ]
