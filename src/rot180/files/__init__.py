"""One door for writing files and one for opening those of strangers; what differs between systems is known here alone.

writing.py       a file or folder is there whole, or not at all
unfinished.py    the names of unfinished files, and which of them nobody works on any more
opening.py       regular files only, no links, no more bytes than expected
folder.py        an open folder, in which names are reached without following links
naming.py        names that stay apart on every disk, and as they are typed into a shell
system.py        what differs on Linux, macOS and Windows
"""

from rot180.files import system
from rot180.files.folder import Folder, make_folder
from rot180.files.naming import distinct_names, quoted
from rot180.files.opening import open_descriptor, open_regular, read_bounded
from rot180.files.unfinished import remove_unfinished
from rot180.files.writing import atomic_files, publish, remove_folder, write_atomically, write_folder_atomically

__all__ = [
    "Folder",
    "atomic_files",
    "distinct_names",
    "make_folder",
    "open_descriptor",
    "open_regular",
    "publish",
    "quoted",
    "read_bounded",
    "remove_folder",
    "remove_unfinished",
    "system",
    "write_atomically",
    "write_folder_atomically",
]
