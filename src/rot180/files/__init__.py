"""The one way to write files and to open untrusted ones; differences between operating systems are handled here only.

writing.py       a file or folder is written completely, or not at all
unfinished.py    names of unfinished files, and which of them have been abandoned
opening.py       regular files only, no links, and no more bytes than expected
folder.py        an open folder, in which names are looked up without following links
naming.py        names that are distinct on every file system, and quoting for a shell
safetensors_*.py files of arrays: their header is checked before any array is read
npz_file.py      several arrays in one file, as NumPy keeps them
system.py        differences between Linux, macOS and Windows
"""

from rot180.files import system
from rot180.files.folder import Folder, make_folder
from rot180.files.naming import distinct_names, quoted
from rot180.files.opening import open_descriptor, open_regular, read_bounded, reading
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
    "reading",
    "remove_folder",
    "remove_unfinished",
    "system",
    "write_atomically",
    "write_folder_atomically",
]
