"""Networks out: a graph of ONNX nodes with the same outputs.

export.py            a network as an ONNX file
form.py              what is asked of the file
graph.py             a graph while it is written: nodes, constants, and the values between the nodes
layers.py            layers as nodes, and the table of all layers
activations.py, normalization.py, preprocessing.py
                     their nodes
folding.py           batch normalization folded into the layer before it
check.py             a written graph held against the specification and the network
"""

from rot180.interop.export.export import OnnxFile, export_onnx

__all__ = ["OnnxFile", "export_onnx"]
