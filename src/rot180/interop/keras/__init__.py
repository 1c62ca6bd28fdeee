"""Files of Keras: networks with their weights, and weights alone.

hdf5.py         the arrays and attributes of an HDF5 file, which may be a stranger's
container.py    the three containers, and which variables belong to which layer
graph.py        the configuration of a model as a list of calls of layers
network.py      the network being built: its nodes, shapes and arrays
layers.py       which of our layers a layer of Keras stands for
convolutions.py likewise, for convolutions, pooling and fully connected layers
activations.py  likewise, for activation functions
lifting.py      a whole model
"""
