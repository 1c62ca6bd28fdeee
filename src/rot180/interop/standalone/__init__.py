"""Networks out: programs of one file that need nothing else, and that prove themselves.

operation.py         a network as a flat list of operations with resolved shapes, which all writers share
layers.py            layers as operations, and the table of all layers
examples.py          inputs, and the outputs that a program must give for them
python_file.py       a Python file that needs NumPy alone; numpy_program.py is what it runs
weights.py           as float32 or as int8, and the examples for them
c_header.py          a C99 header; c_text.py its text, c_source.py its functions,
                     arena.py where its values stand
page_file.py         a page of HTML, made of the files in page/
"""

from rot180.interop.standalone.c_header import CHeader, export_c
from rot180.interop.standalone.page_file import Page, export_page
from rot180.interop.standalone.python_file import PythonFile, export_python

__all__ = ["CHeader", "Page", "PythonFile", "export_c", "export_page", "export_python"]
