"""The count of the images that cannot be decoded, and its limit."""

import copy
import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence

from ssl_tf.errors import UserError, listed, printable, warn

_LISTED = 10


class UnreadableImages:
    """Counts the distinct images that could not be decoded and ends the run beyond a limit.

    Each source has one counter. Its subsets and the threads of all its input pipelines share it.
    Images of a source are told apart by their rows, since records may repeat an id. Where sources
    of one place are counted together, an id of both is one image.

    Attributes:
        limit: number of distinct images that may be unreadable (--max_bad_images), without those of
            earlier processes.
        consequence: what becomes of such an image, for the warning.
    """

    consequence = "it is left out"

    def __init__(self, limit: int = 10):
        self.limit = limit
        self._source, self._place = object(), object()
        # (place, source, id) -> rows, and (place, id) -> their largest number in a source.
        self._rows: defaultdict[tuple[object, object, bytes], set[int]] = defaultdict(set)
        self._most: Counter[tuple[object, bytes]] = Counter()
        self._names: list[str] = []
        # Places in the list of names.
        self._earlier: set[int] = set()
        self._errors: list[UserError] = []
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Number of distinct unreadable images so far."""
        return len(self._names)

    @property
    def ids(self) -> set[bytes]:
        """The ids of the unreadable images of this place so far."""
        return {image_id for place, _, image_id in self._rows if place is self._place}

    @property
    def rows(self) -> list[tuple[bytes, int]]:
        """Id and row of the unreadable images of this source so far, in a fixed order."""
        with self._lock:
            return sorted(
                (image_id, row)
                for (_, source, image_id), rows in self._rows.items()
                if source is self._source
                for row in rows
            )

    def remember(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Counts images that an earlier process of the same training has told."""
        with self._lock:
            for image_id, row in rows:
                if self._is_new(image_id, row):
                    self._earlier.add(len(self._names) - 1)

    def of_another_source(self, elsewhere: bool = False) -> "UnreadableImages":
        """The same count, for a source that has rows of its own; with the limit as it is now.

        Args:
            elsewhere: the source lies in another place, and an id of both is two images.
        """
        made = copy.copy(self)
        made._source = object()
        if elsewhere:
            made._place = object()
        return made

    def add(self, image_id: bytes, reason: str = "", row: int = -1) -> None:
        """Counts an image, and warns on stderr if it is new.

        Args:
            image_id: its id.
            reason: why it cannot be decoded, if that is known.
            row: its number in the source, the same in all subsets; -1: the id alone tells it.

        Raises:
            UserError: more than `limit` images are unreadable.
        """
        with self._lock:
            if self._is_new(image_id, row):
                self._warn(self._names[-1], reason)
            if (count := self.count - len(self._earlier)) > self.limit:
                self._fail(
                    f"{count} images cannot be decoded (the first: "
                    f"{self._first(3)}{reason and f': {reason}'}), more than "
                    f"--max_bad_images={self.limit}: mend or remove them, or raise the flag"
                )

    def refuse_batch(self) -> None:
        """Ends the run because no image of a batch could be decoded.

        Raises:
            UserError: always.
        """
        with self._lock:
            self._fail(
                f"no image of a whole batch can be decoded ({self.count} so far, the first: "
                f"{self._first(3)}): check the data and --max_bad_images"
            )

    def refuse(self, message: str) -> None:
        """Ends the run for another reason that lies in the images.

        Raises:
            UserError: always, with the message.
        """
        with self._lock:
            self._fail(message)

    def check(self) -> None:
        """Raises the UserError that ended a pipeline, which TensorFlow reports as another error.

        Raises:
            UserError: `add`, `refuse_batch` or `refuse` has ended the run.
        """
        if self._errors:
            raise self._errors[0]

    def summary(self) -> str:
        """The count and the first names, to be appended to a line; empty if there are none."""
        if not self._names:
            return ""
        return f"; {self.count} unreadable images: {listed(self._names, _LISTED)}"

    def _is_new(self, image_id: bytes, row: int) -> bool:
        """Registers an image; whether it is one more. Called under the lock."""
        rows = self._rows[self._place, self._source, image_id]
        rows.add(row)
        if len(rows) <= self._most[self._place, image_id]:
            return False
        self._most[self._place, image_id] += 1
        self._names.append(printable(image_id.decode("utf-8", errors="backslashreplace")))
        return True

    def _first(self, count: int) -> str:
        names = (name for n, name in enumerate(self._names) if n not in self._earlier)
        return ", ".join(itertools.islice(names, count))

    def _warn(self, name: str, reason: str) -> None:
        if self.count <= _LISTED:
            why = f" ({reason})" if reason else ""
            warn(f"cannot decode {name}{why}, {self.consequence}")
        elif self.count == _LISTED + 1:
            warn("further unreadable images are counted, not listed")

    def _fail(self, message: str) -> None:
        self._errors.append(UserError(message))
        raise self._errors[0]
