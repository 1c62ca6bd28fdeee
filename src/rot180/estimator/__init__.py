"""rot180 for scikit-learn.

classifier.py        CNNClassifier
samples.py           samples as they are learned: labels, weights, identical ones joined
starting.py          the network that a training starts with
one_thread.py        one thread inside parallel jobs
without.py           what stands for CNNClassifier where scikit-learn is not installed
"""

try:
    import sklearn  # noqa: F401
except ImportError:
    from rot180.estimator.without import CNNClassifier
else:
    from rot180.estimator.classifier import CNNClassifier

__all__ = ["CNNClassifier"]
