"""Where images come from: formats, the bundled digits, single image files.

`load_data` turns what the user names into a `Dataset`; `FORMATS` in formats.py lists what it knows, one file a format.
"""

from rot180.data.csv_images import read_csv
from rot180.data.dataset import Dataset
from rot180.data.idx import read_idx
from rot180.data.image import read_image
from rot180.data.load import load_data
from rot180.data.normalization import preprocessing_for

__all__ = ["Dataset", "load_data", "preprocessing_for", "read_csv", "read_idx", "read_image"]
