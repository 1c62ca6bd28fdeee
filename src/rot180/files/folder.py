"""An open folder: names are looked up in the folder itself, so a link put in a path meanwhile leads nowhere else."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from types import TracebackType

from rot180.files import system

LINK = "a symbolic link, which is not followed"


class Folder:
    """A folder that is held open.

    Where the system can look up names in an open folder, as Linux and macOS can, all methods do; else the path is
    looked at for links before each call.

    Parameters
    ----------
    path : Path
    beneath : Path, optional
        A folder that holds this one, or is this one. No component of `path` below it may be a link; `beneath` itself
        was named by the user, and may be.

    Raises
    ------
    OSError
        It cannot be opened, a component is a link, or the path leads out of `beneath`.
    """

    def __init__(self, path: Path, beneath: Path | None = None) -> None:
        self.path = path
        if not _can_be(str(path)):
            raise OSError(errno.EINVAL, "not a name that a folder can have", str(path))
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
        """Close it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def open(self, name: str, flags: int) -> int:
        """Open a file in it, not a link; return the descriptor."""
        flags |= system.FLAGS | system.NO_FOLLOW
        if system.NO_FOLLOW == 0 and self.is_link(name):
            raise OSError(errno.ELOOP, LINK, str(self.path / name))
        return os.open(self._place(name), flags, 0o666, dir_fd=self._descriptor)

    def status(self, name: str) -> os.stat_result:
        """Return what is there under a name, a link as such."""
        return os.stat(self._place(name), dir_fd=self._descriptor, follow_symlinks=False)

    def exists(self, name: str) -> bool:
        """Say whether there is something of this name, be it a link that leads nowhere."""
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        return True

    def is_link(self, name: str) -> bool:
        """Say whether a name is a link."""
        return self.exists(name) and is_link(self.status(name))

    def names(self) -> list[str]:
        """Return the names in it, sorted."""
        place = self.path if self._descriptor is None else self._descriptor
        return sorted(os.listdir(place))  # noqa: PTH208

    def make(self, name: str) -> None:
        """Make a folder in it."""
        os.mkdir(self._place(name), dir_fd=self._descriptor)

    def replace(self, name: str, new: str) -> None:
        """Give a file another name, in place of what has it."""
        old, place, at = self._place(name), self._place(new), self._descriptor
        system.retry_replace(lambda: os.replace(old, place, src_dir_fd=at, dst_dir_fd=at))

    def publish(self, name: str, new: str) -> None:
        """Give a file a name that nothing has, be it taken in this very moment by another process."""
        try:
            os.link(self._place(name), self._place(new), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            self.rename(name, new)
        else:
            self.remove(name)

    def rename(self, name: str, new: str) -> None:
        """Give a file or folder a name that nothing has."""
        if self.exists(new):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.path / new))
        old, place, at = self._place(name), self._place(new), self._descriptor
        system.retry_replace(lambda: os.rename(old, place, src_dir_fd=at, dst_dir_fd=at))

    def remove(self, name: str) -> None:
        """Remove a file, a link itself, or a folder with all that is in it; nothing where there is no such name."""
        try:
            if stat.S_ISDIR(self.status(name).st_mode) and not self.is_link(name):
                shutil.rmtree(self._place(name), ignore_errors=True, dir_fd=self._descriptor)
            else:
                os.unlink(self._place(name), dir_fd=self._descriptor)
        except FileNotFoundError:
            pass

    def flush(self) -> None:
        """Flush the list of names to the disk, where that can be done: Windows and some network drives cannot."""
        try:
            if self._descriptor is not None:
                system.flush(self._descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF):
                raise

    def _place(self, name: str) -> str:
        if name in ("", ".", "..") or "/" in name or os.sep in name or not _can_be(name):
            raise OSError(errno.EINVAL, "not a name that a file can have", name)
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
        """Look for links on the way, where the system cannot do it while it opens."""
        place = self._start
        for part in self._parts:
            place /= part
            if os.path.lexists(place) and is_link(place.lstat()):
                raise OSError(errno.ELOOP, LINK, str(place))


def is_link(status: os.stat_result) -> bool:
    """Say whether `lstat` found a link: a symbolic one, or a junction of Windows."""
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) in (
        getattr(stat, "IO_REPARSE_TAG_SYMLINK", -1),
        getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1),
    )


def make_folder(path: str | Path, *, beneath: str | Path | None = None, exist_ok: bool = True) -> None:
    """Make a folder and those above it.

    Parameters
    ----------
    path : str or Path
    beneath : str or Path, optional
        A folder that is there; only those below it are made, and no component below it may be a link.
    exist_ok : bool, default True
        It may be there already.

    Raises
    ------
    OSError
        As `Path.mkdir`; also where something on the way is a link.

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
        raise OSError(errno.EINVAL, "not a name that a folder can have", str(path))
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
        pass  # what was there already may be something else than a folder


def _can_be(text: str) -> bool:
    """Say whether the system can be asked for this name: a null character or a lone surrogate is a ValueError there."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _parts(path: Path, beneath: Path) -> tuple[str, ...]:
    """Return the components of a path below a folder."""
    try:
        parts = path.relative_to(beneath).parts
    except ValueError:
        parts = ("..",)
    if ".." in parts:
        raise OSError(errno.EINVAL, f"it leads out of {beneath}", str(path))
    return parts
