"""Run all of scikit-learn's checks of an estimator on CNNClassifier, and a grid search in processes.

    python tests/estimator/all_checks.py [PART OF A NAME ...]

They take about a minute; the tests run those that a network could fail.
"""

from __future__ import annotations

import sys
import time
import warnings
from unittest import SkipTest

import sklearn
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import estimator_checks_generator

from rot180 import CNNClassifier


def main() -> int:
    """Print each check, and return 1 if one fails."""
    warnings.simplefilter("error")
    began, failed, skipped, count = time.perf_counter(), 0, 0, 0
    for estimator, check in estimator_checks_generator(CNNClassifier(), legacy=True, mark=None):
        name = getattr(check, "func", check).__name__
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        count += 1
        try:
            check(estimator)
        except SkipTest as reason:
            skipped, count = skipped + 1, count - 1
            print(f"{name}: skipped: {reason}", flush=True)
        except Exception as error:  # whatever a check raises is a failure
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
    x, y = load_digits(return_X_y=True)
    search = GridSearchCV(CNNClassifier(image_shape=(8, 8), epochs=2, random_state=0), {"lr": [1e-3, 3e-3]}, n_jobs=2)
    score = search.fit(x[:600], y[:600]).best_score_
    seconds = time.perf_counter() - began
    print(f"scikit-learn {sklearn.__version__}: {count - failed} of {count} checks pass, {skipped} are skipped")
    print(f"a grid search in two processes finds {100 * score:.1f}%; {seconds:.0f} s")
    return 1 if failed or score < 0.8 else 0


if __name__ == "__main__":
    sys.exit(main())
