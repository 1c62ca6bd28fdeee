"""Networks out: programs of one file that need nothing else, and that prove themselves.

operation.py         a network as a flat list of operations with resolved shapes, which all writers share
layers.py            layers as operations, and the table of all layers
examples.py          inputs, and the outputs that a program must give for them
python_file.py       a Python file that needs NumPy alone; numpy_program.py is what it runs
"""

from rot180.interop.standalone.python_file import PythonFile, export_python

__all__ = ["PythonFile", "export_python"]
