"""Results of the training benchmark: a JSON file that grows entry by entry, and a table."""

import importlib.metadata
import sys
from pathlib import Path

from ssl_tf.benchmarking.processor import processor
from ssl_tf.errors import UserError
from ssl_tf.files import prepare_output, read_json, write_json
from ssl_tf.settings import TrainBenchmarkSettings, fields
from ssl_tf.settings.benchmarking import Entry
from ssl_tf.training.environment import code_digest

# The grid may grow from call to call; what an entry ran by may not change.
_FREE = ("grid_precision", "grid_xla", "grid_augment_on", "grid_batch_size", "output")


class TrainResults:
    """The entries measured so far; with --output they are kept in a file.

    An entry is of the devices that it ran on, and the cores beside them: a file may hold those of
    several cards. One of other code is measured again, and is told until then.
    """

    def __init__(self, settings: TrainBenchmarkSettings, here: dict):
        """Reads the file, if there is one.

        Args:
            settings: of the benchmark.
            here: what entries run on, as `train.devices` tells it.

        Raises:
            UserError: it belongs to other flags, or is no such file.
        """
        self._here = here
        self._code = code_digest(Path(__file__).parents[1])
        self._path = Path(settings.output) if settings.output else None
        flags = fields.as_dict(settings)
        self._result = {
            "flags": {name: value for name, value in flags.items() if name not in _FREE},
            "machine": _machine(),
            "entries": {},
        }
        if self._path is None:
            return
        prepare_output(self._path)
        if self._path.exists():
            self._result = _read(self._path, self._result)

    def __contains__(self, entry: Entry) -> bool:
        """Whether there are figures of an entry on these devices; what failed is tried again."""
        row = self._result["entries"].get(_key({**entry._asdict(), **self._here}))
        return row is not None and "failed" not in row and row.get("code") == self._code

    def add(self, entry: Entry, figures: dict) -> None:
        """Keeps the figures of an entry, or {"failed": why there are none}."""
        row = {**entry._asdict(), **figures, **self._here, "code": self._code}
        self._result["entries"][_key(row)] = row
        if "failed" in figures:
            print(f"{entry}: {figures['failed']}", file=sys.stderr)
        if self._path is not None:
            write_json(self._path, self._result)

    def table(self) -> str:
        """The entries as text, one a line, under the devices that they ran on."""
        rows: dict[str, list[dict]] = {}
        for row in self._result["entries"].values():
            rows.setdefault(_devices(row), []).append(row)
        return "\n".join(
            line
            for devices, of_devices in rows.items()
            for line in self._lines(devices, of_devices)
        )

    def _lines(self, devices: str, rows: list[dict]) -> list[str]:
        machine = self._result["machine"]
        lines = [
            machine + devices.removeprefix("CPU")
            if devices.startswith("CPU")
            else f"{devices}, {machine}",
            f"{'':<50}{'step':>8}{'(range)':>14}{'+ input':>9}{'wait':>6}{'memory':>8}"
            f"{'estimate':>10}{'of peak':>9}{'first':>7}",
            f"{'':<50}{'img/s':>8}{'':>14}{'img/s':>9}{'':>6}{'GiB':>8}{'GiB':>10}{'':>9}{'s':>7}",
        ]
        for figures in rows:
            name = str(_entry(figures))
            if figures.get("code") != self._code:
                name += ", of other code"
            if "failed" in figures:
                lines.append(f"{name:<50}{figures['failed']}")
                continue
            step, training = figures["step"], figures["training"]
            spread = f"({step['low']:.0f}-{step['high']:.0f})"
            lines.append(
                f"{name:<50}{step['median']:8.1f}{spread:>14}{training['median']:9.1f}"
                f"{figures['input_wait']:6.0%}{figures['peak_gib']:8.2f}"
                f"{figures['estimated_gib']:10.2f}{figures['share_of_peak']:9.0%}"
                f"{figures['first_step_seconds']:7.1f}"
            )
            for layout, rates in figures["torch"].items():
                ratio = rates["ratio"]
                spread = f"({rates['low']:.0f}-{rates['high']:.0f})"
                lines.append(
                    f"{f'  PyTorch, {layout}':<50}{rates['median']:8.1f}{spread:>14}"
                    f"  ours is {ratio['median']:.2f} x ({ratio['low']:.2f}-{ratio['high']:.2f})"
                )
        return lines


def _read(path: Path, expected: dict) -> dict:
    found = read_json(path, dict, "give another file as --output")
    if found.keys() != expected.keys():
        raise UserError(f"--output={path} is no result of this benchmark; give another file")
    for name in ("machine", "flags"):
        if found[name] != expected[name]:
            raise UserError(
                f"--output={path} was measured on another machine or by other flags; give another "
                "file"
            )
    try:
        if [*found["entries"]] == [*map(_key, found["entries"].values())]:
            return found
    except (AttributeError, KeyError, TypeError):
        pass
    raise UserError(f"--output={path} is no result of this benchmark; give another file")


def _key(row: dict) -> str:
    return f"{_entry(row)} on {_devices(row)}"


def _entry(row: dict) -> Entry:
    return Entry(*(row[name] for name in Entry._fields))


def _devices(row: dict) -> str:
    name = row["device"] if row["replicas"] == 1 else f"{row['replicas']} x {row['device']}"
    return f"{name}, {row['cores']} cores"


def _machine() -> str:
    """The processor and the version of TensorFlow."""
    return f"{processor()}, TensorFlow {importlib.metadata.version('tensorflow')}"
