"""An open folder: names are looked up in the folder itself, so a link placed in its path later cannot redirect them."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from types import TracebackType

from rot180.files import system

LINK = "a symbolic link, which is not followed"
HARD_LINK = "a hard link, so a file elsewhere would change as well; copy the folder without links"


class Folder:
    """A folder that is held open.

    Where the system can look up names in an open folder, as on Linux and macOS, all methods do so; elsewhere the path
    is checked for links before each call.

    Parameters
    ----------
    path : Path
    beneath : Path, optional
        A folder that contains this one, or is this one. No component of `path` below it may be a link; `beneath`
        itself was named by the user, and may be one.

    Raises
    ------
    OSError
        The folder cannot be opened, a component is a link, or the path leads outside `beneath`.
    """

    def __init__(self, path: Path, beneath: Path | None = None) -> None:
        self.path = path
        if not _can_be(str(path)):
            raise OSError(errno.EINVAL, "not a valid folder name", str(path))
        self._start, self._parts = (path, ()) if beneath is None else (beneath, _parts(path, beneath))
        self._descriptor: int | None = None
        if system.HAS_FOLDER_DESCRIPTORS:
            self._descriptor = self._walk()
        else:
            self._check()
            if not path.is_dir():
                code = errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT
                raise OSError(code, os.strerror(code), str(path))

    def __enter__(self) -> Folder:
        """Return the folder."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the folder."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def open(self, name: str, flags: int) -> int:
        """Open a file in the folder, but not a link, and return its descriptor."""
        flags |= system.FLAGS | system.NO_FOLLOW
        if system.NO_FOLLOW == 0 and self.is_link(name):
            raise OSError(errno.ELOOP, LINK, str(self.path / name))
        return os.open(self._place(name), flags, 0o666, dir_fd=self._descriptor)

    def status(self, name: str) -> os.stat_result:
        """Return the status of an entry; links are not followed."""
        return os.stat(self._place(name), dir_fd=self._descriptor, follow_symlinks=False)

    def exists(self, name: str) -> bool:
        """Return whether an entry of this name exists, even if it is a broken link."""
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        return True

    def is_link(self, name: str) -> bool:
        """Return whether an entry is a link."""
        return self.exists(name) and is_link(self.status(name))

    def names(self) -> list[str]:
        """Return the names of the entries, sorted."""
        place = self.path if self._descriptor is None else self._descriptor
        return sorted(os.listdir(place))  # noqa: PTH208

    def make(self, name: str) -> None:
        """Create a folder in this one."""
        os.mkdir(self._place(name), dir_fd=self._descriptor)

    def replace(self, name: str, new: str) -> None:
        """Rename a file, replacing any file of that name."""
        old, place, at = self._place(name), self._place(new), self._descriptor
        system.retry_replace(lambda: os.replace(old, place, src_dir_fd=at, dst_dir_fd=at))

    def publish(self, name: str, new: str) -> None:
        """Rename a file to a name that is not taken, even if another process tries to take it at the same moment."""
        try:
            os.link(self._place(name), self._place(new), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            self.rename(name, new)
        else:
            self.remove(name)

    def rename(self, name: str, new: str) -> None:
        """Rename a file or folder to a name that is not taken."""
        if self.exists(new):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.path / new))
        old, place, at = self._place(name), self._place(new), self._descriptor
        system.retry_replace(lambda: os.rename(old, place, src_dir_fd=at, dst_dir_fd=at))

    def remove(self, name: str) -> None:
        """Remove a file, a link itself, or a folder with its contents; do nothing if there is no such entry."""
        try:
            if stat.S_ISDIR(self.status(name).st_mode) and not self.is_link(name):
                shutil.rmtree(self._place(name), ignore_errors=True, dir_fd=self._descriptor)
            else:
                os.unlink(self._place(name), dir_fd=self._descriptor)
        except FileNotFoundError:
            pass

    def flush(self) -> None:
        """Flush the directory to the disk where possible: Windows and some network drives cannot do it."""
        try:
            if self._descriptor is not None:
                system.flush(self._descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF):
                raise

    def _place(self, name: str) -> str:
        if name in ("", ".", "..") or "/" in name or os.sep in name or not _can_be(name):
            raise OSError(errno.EINVAL, "not a valid file name", name)
        if self._descriptor is not None:
            return name
        self._check()
        return str(self.path / name)

    def _walk(self) -> int:
        """Open the folder component by component."""
        place = self._start
        current = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        for part in self._parts:
            place /= part
            above = current
            try:
                current = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP) and place.is_symlink():
                    raise OSError(errno.ELOOP, LINK, str(place)) from None
                raise OSError(error.errno, error.strerror, str(place)) from None
            finally:
                os.close(above)
        return current

    def _check(self) -> None:
        """Check the path for links, where the system cannot do so while opening it."""
        place = self._start
        for part in self._parts:
            place /= part
            if os.path.lexists(place) and is_link(place.lstat()):
                raise OSError(errno.ELOOP, LINK, str(place))


def is_link(status: os.stat_result) -> bool:
    """Return whether a status from `lstat` is that of a link: a symbolic link, or a junction on Windows."""
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) in (
        getattr(stat, "IO_REPARSE_TAG_SYMLINK", -1),
        getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1),
    )


def make_folder(path: str | Path, *, beneath: str | Path | None = None, exist_ok: bool = True) -> None:
    """Create a folder and its parents.

    Parameters
    ----------
    path : str or Path
    beneath : str or Path, optional
        An existing folder; only folders below it are created, and no component below it may be a link.
    exist_ok : bool, default True
        Whether the folder may exist already.

    Raises
    ------
    OSError
        As from `Path.mkdir`, or a component of the path is a link.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp())
    >>> make_folder(path / "run" / "pictures", beneath=path)
    >>> (path / "run" / "pictures").is_dir()
    True
    """
    path = Path(path)
    if not _can_be(str(path)):
        raise OSError(errno.EINVAL, "not a valid folder name", str(path))
    if beneath is None:
        path.mkdir(parents=True, exist_ok=exist_ok)
        return
    place = Path(beneath)
    for part in _parts(path, place):
        with Folder(place, Path(beneath)) as folder:
            try:
                folder.make(part)
            except FileExistsError:
                if not exist_ok and place / part == path:
                    raise
        place /= part
    with Folder(place, Path(beneath)):
        pass  # what existed already may be something other than a folder


def _can_be(text: str) -> bool:
    """Return whether a name can be passed to the system: a null character or a lone surrogate is a ValueError there."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _parts(path: Path, beneath: Path) -> tuple[str, ...]:
    """Return the components of a path, relative to a folder."""
    try:
        parts = path.relative_to(beneath).parts
    except ValueError:
        parts = ("..",)
    if ".." in parts:
        raise OSError(errno.EINVAL, f"the path leads outside {beneath}", str(path))
    return parts
