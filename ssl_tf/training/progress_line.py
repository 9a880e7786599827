"""The progress of a run: a bar that redraws on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
from collections.abc import Iterator

from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile


class ProgressLine:
    """Prints how far a run is, on stderr."""

    def __init__(self, first_step: int, last_step: int):
        """
        Args:
            first_step: step from which this process continues.
            last_step: of the run.
        """
        self._first_step = first_step
        self._last_step = last_step
        self._bar: tqdm | None = None

    @contextlib.contextmanager
    def drawn(self) -> Iterator[None]:
        """Draws a bar inside the block if stderr is a terminal; other lines stand above it."""
        if not _columns():
            yield
            return
        self._bar = tqdm(
            total=self._last_step,
            initial=self._first_step,
            # The figures tell the time left: they know of monitors and checkpoints, tqdm does not.
            bar_format="{percentage:3.0f}%|{bar:8}| {n_fmt}/{total_fmt}{postfix}",
            dynamic_ncols=True,
            file=sys.stderr,
        )
        with self._bar, contextlib.redirect_stderr(DummyTqdmFile(sys.stderr)):
            yield
        self._bar = None

    def advance(self, step: int) -> None:
        """Moves the bar, after each step."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def tell(self, step: int, figures: str, *, kept: bool = False) -> None:
        """Shows the newest figures, in the bar or on a line.

        Args:
            step: to which they belong.
            figures: as text.
            kept: whether they have a line of their own on a terminal, too.
        """
        if self._bar is not None:
            self._bar.set_postfix_str(figures, refresh=not kept)
        if self._bar is None or kept:
            bar = "#" * int(20 * step / self._last_step)
            print(f"[{bar:<20}] {step}/{self._last_step} {figures}", file=sys.stderr, flush=True)


def _columns() -> int:
    """The width of the terminal behind stderr; 0 if there is none, or it tells no width."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0
