"""What stands for `CNNClassifier` where scikit-learn is not installed, so that its name can be imported."""

from __future__ import annotations

from typing import Any

from rot180.errors import ArgumentError


class CNNClassifier:
    """A convolutional network as a scikit-learn classifier; needs `pip install "rot180[sklearn]"`."""

    def __init__(self, *arguments: Any, **parameters: Any) -> None:
        raise ArgumentError(
            "CNNClassifier needs a package that is not installed; install it with: pip install 'rot180[sklearn]'"
        )
