"""ONNX files in: read within bounds, evaluated node by node, lifted to networks.

wire.py, tensor.py, graph.py    the file: protocol buffers, tensors, nodes
call.py                         what an operator is given: its inputs and attributes
op_*.py, operators.py           the operators, one family a file, and the table of all of them
evaluate.py                     a whole graph, node by node: the file's own word, which a lifted network is held against
patterns.py                     several nodes that stand for one operator
value.py, lift_*.py, lifting.py the nodes as layers
"""
