"""Notations of drawn networks with branches, for tests that compare engines, copies and gradients."""

from __future__ import annotations

from hypothesis import strategies as st


def chains(channels: int, depth: int) -> st.SearchStrategy[str]:
    """Layers that keep a map's shape, with branches nested `depth` deep."""
    convolution = f"conv3x3:{channels}:same"
    words = st.sampled_from([convolution, f"{convolution} tanh", f"conv1x1:{channels}", "tanh", "sigmoid"])
    if depth == 0:
        return st.lists(words, min_size=1, max_size=2).map(" ".join)
    inner = chains(channels, depth - 1)
    branch = st.one_of(st.just("skip"), inner)
    branches = st.lists(branch, min_size=2, max_size=3)
    sums = branches.map(lambda some: f"( {' + '.join(some)} )")
    joined = branches.map(lambda some: f"( {' | '.join(some)} ) conv1x1:{channels}")
    gates = st.tuples(branch, inner).map(lambda pair: f"( {pair[0]} * {pair[1]} sigmoid )")
    return st.lists(st.one_of(words, sums, gates, joined), min_size=1, max_size=3).map(" ".join)


def graphs() -> st.SearchStrategy[str]:
    """Whole networks for images of 6 x 5 pixels."""
    ends = st.sampled_from(["", " > fc3", " maxpool2 > fc4 tanh > fc2"])

    def whole(channels: int) -> st.SearchStrategy[str]:
        return st.builds(lambda body, end: f"6x5x{channels} > {body}{end}", chains(channels, 2), ends)

    return st.integers(1, 3).flatmap(whole)
