"""The page of a report: one HTML file with its pictures inside, which opens without a server."""

import base64
import html
from pathlib import Path

from ssl_tf.errors import printable

_SHOWN = 100
_TITLES = {
    "status": "What became of them",
    "split": "Split",
    "format": "Formats",
    "mode": "Modes of pixels (Pillow)",
    "short side": "Short sides in pixels",
    "special": "Special kinds",
}
_WORDS = {
    "turned": "turned or mirrored by EXIF",
    "profile": "with a colour profile",
    "several": "with several images, the first is read",
    "transparent": "with transparency, put over the background",
}
_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 76em; margin: 2em auto; padding: 0 1em; color: #222 }
h1, h2 { font-weight: 600 } table { border-collapse: collapse } td, th { padding: 1px 12px 1px 0;
text-align: left; vertical-align: top } td.n { text-align: right } .bar { background: #4c78a8;
height: 11px } .row { display: flex; flex-wrap: wrap; gap: 0 4em } img { max-width: 100% }
"""


def page(
    flags: dict[str, str],
    figures: dict,
    listed: dict[str, list[list[str]]],
    sheets: dict[str, Path],
) -> str:
    """The HTML of a report.

    Args:
        flags: of the preparation, as on a command line.
        figures: from `Counts.summary`.
        listed: status -> images that are left out, with the reason.
        sheets: name -> PNG.
    """
    kept = figures["status"].get("kept", 0)
    parts = [
        f"<h1>{_text(flags['input'])}</h1>",
        f"<p>{figures['images']} files, {figures['bytes'] / 1e6:.1f} MB, median short side "
        f"{figures['median short side']:g} pixels; {kept} images are kept, short side at most "
        f"{flags['short_side']}, {flags['encoding']}.</p>",
    ]
    for name, path in sheets.items():
        data = base64.b64encode(path.read_bytes()).decode()
        title = "Some of the images" if name.startswith("contact") else "Pairs that look alike"
        parts.append(f'<h2>{title}</h2><img alt="{name}" src="data:image/png;base64,{data}">')
    parts.append('<div class="row">')
    parts += [_bars(title, figures[name]) for name, title in _TITLES.items() if figures.get(name)]
    parts.append("</div>")
    if figures["classes"]:
        parts.append(_classes(figures))
    parts += [_left_out(status, rows, figures) for status, rows in listed.items()]
    line = " ".join(f"--{name}={value}" for name, value in flags.items())
    parts.append(f"<h2>Flags</h2><p><code>{_text(line)}</code></p>")
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>'
        f"{_text(flags['input'])}</title><style>{_STYLE}</style>\n{body}\n</html>\n"
    )


def _text(text: str) -> str:
    """A name or a message as HTML."""
    return html.escape(printable(text))


def _bars(title: str, counts: dict[str, int]) -> str:
    """A table of counts with bars."""
    most = max(counts.values()) or 1
    rows = "".join(
        f'<tr><td>{_text(_WORDS.get(name, name))}</td><td class="n">{count}</td>'
        f'<td><div class="bar" style="width:{160 * count / most:.0f}px"></div></td></tr>'
        for name, count in counts.items()
    )
    return f"<div><h2>{title}</h2><table>{rows}</table></div>"


def _classes(figures: dict) -> str:
    """The table of classes, the largest first."""
    classes = figures["classes"]
    names = sorted(classes, key=lambda name: (-classes[name]["train"], name))
    rows = "".join(
        f"<tr><td>{_text(name)}</td>"
        + "".join(f'<td class="n">{count}</td>' for count in classes[name].values())
        + "</tr>"
        for name in names[:_SHOWN]
    )
    more = f"<p>and {len(names) - _SHOWN} more, in report.json</p>" if len(names) > _SHOWN else ""
    conflicts = figures["alike in several classes"]
    note = f"<p>{conflicts} images look like one of another class.</p>" if conflicts else ""
    head = "<tr><th>class</th><th>train</th><th>validation</th><th>left out</th></tr>"
    return f"<h2>{len(names)} classes</h2>{note}<table>{head}{rows}</table>{more}"


def _left_out(status: str, rows: list[list[str]], figures: dict) -> str:
    """The first images of a status."""
    lines = "".join(
        f"<tr><td>{_text(name)}</td><td>{_text(reason)}</td></tr>" for name, reason in rows
    )
    count = figures["status"][status]
    more = f"<p>and {count - len(rows)} more, in images.csv</p>" if count > len(rows) else ""
    return f"<h2>Left out, {_text(status)}: {count}</h2><table>{lines}</table>{more}"
