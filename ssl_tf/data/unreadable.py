"""The images that cannot be decoded: counted, named, and limited."""

import sys
import threading

from ssl_tf.errors import UserError

# As many as --max_bad_images allows where it is not given.
MAX_BAD_IMAGES = 10
_LISTED = 10


class UnreadableImages:
    """Counts the distinct images that could not be decoded and ends the run beyond a limit.

    A source has one, which all its parts and the threads of all its input pipelines share.
    """

    def __init__(self, limit: int = MAX_BAD_IMAGES):
        """
        Args:
            limit: how many distinct images may be unreadable (--max_bad_images).
        """
        self.limit = limit
        self._ids: dict[str, None] = {}
        self._error: UserError | None = None
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Number of distinct unreadable images so far."""
        return len(self._ids)

    def add(self, identity: bytes) -> None:
        """Counts an image, warns on stderr when it is new.

        Raises:
            UserError: more than `limit` images are unreadable.
        """
        name = identity.decode("utf-8", errors="backslashreplace")
        with self._lock:
            if name not in self._ids:
                self._ids[name] = None
                self._warn(name)
            if self.count > self.limit:
                self._fail(
                    f"{self.count} images cannot be decoded (the first: "
                    f"{self._first(3)}), more than "
                    f"--max_bad_images={self.limit}: mend or remove them, or raise the flag"
                )

    def refuse_batch(self) -> None:
        """Ends the run because not one image of a batch could be decoded.

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
        """Raises the UserError that ended a pipeline; TensorFlow reports it as an error of its own.

        Raises:
            UserError: `add`, `refuse_batch` or `refuse` has ended the run.
        """
        if self._error is not None:
            raise self._error

    def summary(self) -> str:
        """The count and the first names, to stand at the end of a line; empty when none."""
        if not self._ids:
            return ""
        more = ", ..." if self.count > _LISTED else ""
        return f"; {self.count} unreadable images: {self._first(_LISTED)}{more}"

    def _first(self, count: int) -> str:
        return ", ".join(list(self._ids)[:count])

    def _warn(self, name: str) -> None:
        if self.count <= _LISTED:
            print(f"warning: cannot decode {name}, another image takes its place", file=sys.stderr)
        elif self.count == _LISTED + 1:
            print("warning: further unreadable images are counted, not listed", file=sys.stderr)

    def _fail(self, message: str) -> None:
        self._error = self._error or UserError(message)
        raise self._error
