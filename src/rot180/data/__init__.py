"""Reading data sets: file formats, the bundled digits, single image files.

`load_data` turns a name or a path into a `Dataset`; `FORMATS` in formats.py lists the formats, one file per format.
"""

from rot180.data.csv_images import read_csv
from rot180.data.dataset import Dataset
from rot180.data.idx import read_idx
from rot180.data.image import read_image
from rot180.data.load import load_data
from rot180.data.normalization import preprocessing_for

__all__ = ["Dataset", "load_data", "preprocessing_for", "read_csv", "read_idx", "read_image"]
