"""What lies under a folder: images by their name, and how many other files."""

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from ssl_tf.errors import UserError, listed, printable, warn

# What is told of a folder that was read by another way, if a link led to one above it.
# Folders of all these names are the parts of a data set.
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "eval"}
_BEHIND = "folders behind links that were read"
_LINKS = "links to images that were read"


class Listing:
    """What lies under a folder.

    A folder that several paths lead to is read once. A path without links names it, else a link to
    it, else a path behind a link to a folder above it. So is an image: links to images come last.

    Attributes:
        paths: the images, relative to the folder, in no order.
        links: those of `paths` that are links.
        folders: names of the folders at the top level, without links by which nothing is read.
        left_out: (folder at the top level or b"", kind) -> number of files that are no images by
            their name; a kind is an extension in lower case.
    """

    def __init__(self, folder: bytes, extensions: Sequence[str], each_once: bool = True):
        """Lists the folder.

        Args:
            folder: to list.
            extensions: of images, in lower case, with their dots.
            each_once: leave out links to images that are listed.

        Raises:
            OSError: a folder cannot be listed.
        """
        self.paths: list[bytes] = []
        self.links: set[bytes] = set()
        self.folders: list[bytes] = []
        self.left_out: Counter[tuple[bytes, str]] = Counter()
        self._extensions = tuple(extensions)
        self._endings = tuple(map(str.encode, extensions))
        # Device and inode of each folder that was listed.
        self._listed: set[tuple[int, int]] = set()
        # Links to folders, with their paths relative to the top: they come after all folders, so
        # that images which lie in one are named by it.
        self._links: list[tuple[bytes, bytes]] = []
        # Device and inode of each folder that a link of this round leads to.
        self._awaited: set[tuple[int, int]] = set()
        self._walk(folder, b"")
        real = set(self.folders)
        while self._links:
            self._follow_links()
        if each_once and self.links:
            self._leave_out_links(folder)
        # A link to a folder above, of which all was read, is no class.
        named = real | self._with_images()
        self.folders = [f for f in self.folders if f in named or not self.left_out[f, _BEHIND]]
        # Nor is a folder whose images are all those of others.
        named = self._with_images()
        self.folders = [f for f in self.folders if f in named or not self.left_out[f, _LINKS]]

    def classes(self) -> list[bytes]:
        """The sorted names of the classes: the folders at the top, if no image lies beside them."""
        return sorted(self.folders) if all(b"/" in path for path in self.paths) else []

    def left_out_summary(self) -> str:
        """The kinds of files that are left out with their numbers, the most frequent first."""
        kinds: Counter[str] = Counter()
        for (_, kind), count in self.left_out.items():
            kinds[kind] += count
        return listed([f"{n} {kind}" for kind, n in kinds.most_common()])

    def warn(self, told: str, classes: list[bytes]) -> None:
        """Tells on stderr which files are left out, and which classes lose all images by that.

        Args:
            told: the flag that gives the folder.
            classes: names of the classes.
        """
        if not self.left_out:
            return
        warn(
            f"{told}: left out as no images "
            f"({', '.join(self._extensions)}): {self.left_out_summary()}; convert or rename images"
        )
        emptied = {top for top, _ in self.left_out} & set(classes) - self._with_images()
        if emptied:
            names = [_printable(name) for name in sorted(emptied)]
            warn(f"{len(names)} classes are empty without these files: {listed(names)}")

    def _with_images(self) -> set[bytes]:
        """The first parts of the paths of images."""
        return {path.split(b"/")[0] for path in self.paths}

    def _leave_out_links(self, folder: bytes) -> None:
        """Leaves out links to images that have a path of their own, or an earlier link."""
        own = [path for path in self.paths if path not in self.links]
        met = {_place(os.path.join(folder, path)) for path in own}
        for path in sorted(self.links):
            place = _place(os.path.join(folder, path))
            if place in met:
                self.links.remove(path)
                self.left_out[path.split(b"/")[0], _LINKS] += 1
            met.add(place)
        self.paths = [*own, *self.links]

    def _follow_links(self) -> None:
        """Adds what lies under the links that were met; links below these wait for the next call.

        What a link leads to is left to it by a link to a folder above, whichever comes first.
        """
        links, self._links = self._links, []
        self._awaited = {_place(folder) for folder, _ in links}
        for folder, prefix in links:
            self._walk(folder, prefix, "links to folders that were read")

    def _walk(self, folder: bytes, prefix: bytes, kind: str = _BEHIND) -> None:
        """Adds what lies under a folder, except behind links to folders, unless it was listed.

        A link may lead to a folder that contains one which was listed, or which has its own link.

        Args:
            folder: the folder to list.
            prefix: its path relative to the top folder, with a slash at its end.
            kind: what is told of a folder that is left out.
        """
        place = _place(folder)
        if place in self._listed or (kind == _BEHIND and place in self._awaited):
            self.left_out[prefix.split(b"/")[0], kind] += 1
            return
        self._listed.add(place)
        if prefix.count(b"/") == 1:
            self.folders.append(prefix[:-1])
        with os.scandir(folder) as entries:
            entries = [entry for entry in entries if not entry.name.startswith(b".")]
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = prefix + entry.name + b"/"
            if entry.is_dir(follow_symlinks=False):
                self._walk(entry.path, path)
            elif _leads_to(entry, "dir"):
                self._links.append((entry.path, path))
            elif not _leads_to(entry, "file"):
                kind = "broken links" if entry.is_symlink() else "special files"
                self.left_out[prefix.split(b"/")[0], kind] += 1
            elif entry.name.lower().endswith(self._endings):
                self.paths.append(prefix + entry.name)
                if entry.is_symlink():
                    self.links.add(prefix + entry.name)
            else:
                extension = os.path.splitext(entry.name)[1].lower()
                kind = _printable(extension) if extension else "without extension"
                self.left_out[prefix.split(b"/")[0], kind] += 1


def list_images(told: str, folder: str, extensions: Sequence[str]) -> Listing:
    """The listing of a folder that has images.

    Args:
        told: the flag that gives the folder, with its value.
        folder: to list.
        extensions: as of a `Listing`.

    Raises:
        UserError: it cannot be listed, or has no image.
    """
    try:
        listing = Listing(os.fsencode(folder), extensions)
    except OSError as error:
        raise UserError(
            f"{told} cannot be listed: {error.strerror}, {os.fsdecode(error.filename or folder)}"
        ) from None
    if not listing.paths:
        found = listing.left_out_summary()
        raise UserError(
            f"{told} holds no image ({', '.join(extensions)}, in any case, at any depth)"
            + (f"; it holds {found}: convert or rename them" if found else "")
        )
    return listing


def warn_of_no_classes(told: str, paths: Collection[bytes]) -> None:
    """Tells on stderr that folders are no classes, because images lie beside them.

    Args:
        told: the flag that gives the images.
        paths: of them, relative to the top.
    """
    beside = sorted(path for path in paths if b"/" not in path)
    if beside and len(beside) < len(paths):
        names = listed([_printable(path) for path in beside], 3)
        warn(
            f"{told}: {len(beside)} images lie beside the folders ({names}), so the images have no "
            "classes; to have one a folder, move these away"
        )


def warn_of_one_class(told: str, classes: Sequence[bytes]) -> None:
    """Tells on stderr that all images are of one class, by which nothing can be judged.

    Args:
        told: the flag that gives the images.
        classes: names of the classes.
    """
    if len(classes) == 1:
        warn(
            f"{told}: all images lie in the folder {_printable(classes[0])}, which is "
            "their one class"
        )


def are_splits(classes: Sequence[str]) -> bool:
    """Whether folders at the top, taken for classes, are named like the parts of a data set."""
    return bool(classes) and {name.lower() for name in classes} <= _SPLITS


def warn_of_like_classes(told: str, classes: Sequence[bytes]) -> None:
    """Tells on stderr which names of classes differ in case or Unicode normal form alone.

    Args:
        told: the flag that gives the images.
        classes: names of the classes.
    """
    alike: dict[str, list[str]] = {}
    for name in classes:
        folded = unicodedata.normalize("NFD", os.fsdecode(name)).casefold()
        # Normal forms look alike, their escapes do not.
        escaped = os.fsdecode(name).encode("unicode_escape", "backslashreplace").decode()
        alike.setdefault(unicodedata.normalize("NFD", folded), []).append(escaped)
    groups = [" and ".join(names) for names in alike.values() if len(names) > 1]
    if groups:
        warn(
            f"{told}: names of classes differ in case or Unicode normal form alone: "
            f"{listed(groups)}; rename the folders if they are one class"
        )


def _place(folder: bytes) -> tuple[int, int]:
    """Device and inode of a folder, the same by whatever link it is reached."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _leads_to(entry: os.DirEntry, kind: str) -> bool:
    """Whether an entry is, or is a link to, a "dir" or a regular "file"."""
    try:
        return entry.is_dir() if kind == "dir" else entry.is_file()
    except OSError:  # a link in a circle
        return False


def _printable(name: bytes) -> str:
    """A name for a message, without control characters."""
    return printable(os.fsdecode(name))
