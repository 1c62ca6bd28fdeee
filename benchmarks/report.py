"""Results as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

Row = tuple[str, ...]


def verdict(value: float | None, target: float, *, at_least: bool = True) -> str:
    """Return whether a figure reaches its target, as text.

    >>> verdict(2.1, 2.0), verdict(1.9, 2.0), verdict(0.2, 0.3, at_least=False), verdict(None, 2.0)
    ('yes', 'no', 'yes', '-')
    """
    if value is None:
        return "-"
    return "yes" if (value >= target if at_least else value <= target) else "no"


def share(fraction: float) -> str:
    """Return a fraction of the peak as text, marked where fewer multiply-adds were made than are counted.

    >>> share(0.86), share(1.54)
    ('86%', '154%*')
    """
    return f"{fraction:.0%}" + ("*" if fraction > 1 else "")


def ratio_rows(works: list[dict[str, Any]], speed: dict[str, float]) -> list[Row]:
    """Return rows of work, our time and fraction of the peak, the best peer, its time, the ratio, target, reached."""
    rows = []
    for work in works:
        peak = speed["peak_one_core_gflops" if work["threads"] == 1 else "peak_all_cores_gflops"]
        ours, best = work["contenders"].get("rot180"), work["contenders"].get(work["best_peer"])
        ratio = work["ratio"]
        spread = " ({:.2f}-{:.2f})".format(*work["ratio_quartiles"]) if ratio else ""
        rows.append(
            (
                work["name"],
                str(work["threads"]),
                _milliseconds(ours),
                share(2e-6 * work["multiply_adds"] / ours["median_ms"] / peak) if ours else "-",
                f"{work['best_peer']}" if best else "-",
                _milliseconds(best),
                f"{ratio:.2f}{spread}" if ratio else "-",
                f"{work['target']:.1f}",
                verdict(ratio, work["target"]),
            )
        )
    return rows


def _milliseconds(summary: dict[str, float] | None) -> str:
    if summary is None:
        return "-"
    return "{median_ms:.3g} ({quartile1_ms:.3g}-{quartile3_ms:.3g})".format(**summary)


def contender_rows(works: list[dict[str, Any]]) -> list[Row]:
    """Return a row for each contender of each workload, fastest first; or why it could not run."""
    rows = []
    for work in works:
        ranked = sorted(work["contenders"].items(), key=lambda item: item[1]["median_ms"])
        for name, summary in ranked:
            rows.append(
                (
                    work["name"],
                    name,
                    _milliseconds(summary),
                    f"{summary['images_per_second']:,.0f}",
                    f"{2e-6 * work['multiply_adds'] / summary['median_ms']:.0f}",
                    f"{summary['cores']:.2f}",
                    f"{work['largest_difference'].get(name, float('nan')):.0e}",
                )
            )
        rows += [(work["name"], name, f"not run: {fault}", "", "", "", "") for name, fault in work["faults"].items()]
    return rows


def pass_rows(passes: list[dict[str, Any]]) -> list[Row]:
    """Return rows of pass, fraction of the peak for this project and for PyTorch, target, reached."""
    rows = []
    for work in passes:
        fraction = work["fraction_of_peak"]
        ours = fraction.get("rot180")
        rows.append(
            (
                work["name"],
                share(ours) if ours is not None else "-",
                share(fraction["torch"]) if "torch" in fraction else "-",
                f"{work['gflops']['peak']:.0f}" if "peak" in work["gflops"] else "-",
                f"{work['target']:.0%}",
                verdict(ours, work["target"]),
            )
        )
    return rows


def wait_rows(result: dict[str, Any]) -> list[Row]:
    """Return rows of what users wait for, its seconds, the limit, reached; of launches, and of memory."""
    startup, launches, memory, peaks = (result[part] for part in ("startup", "launches", "memory", "peaks"))
    rows = []
    for name, found in startup.items():
        seconds = found.get("seconds")
        reached = verdict(seconds, found["target"], at_least=False)
        accuracy = ""
        if "test_accuracy" in found:
            accuracy = f" ({min(found['test_accuracy']):.2%} right)"
            reached = reached if found["is_accurate"] else "no"
        text = f"{seconds:.2f} s{accuracy}" if seconds is not None else f"not run: {found['fault']}"
        rows.append((name, text, f"{found['target']} s", reached))
    if launches is not None:
        rows.append(_launch_row(launches))
    if memory is not None:
        text = f"{memory['growth'] / 1024:.0f} KiB" if "growth" in memory else f"not run: {memory['fault']}"
        none = memory.get("is_none")
        rows.append(
            ("growth of memory over 2,000 steps", text, "none", "-" if none is None else "yes" if none else "no")
        )
    if peaks is not None:
        found = {name: f"{peak / 1e6:,.0f} MB" for name, peak in peaks["peaks"].items()}
        others = {name: peak for name, peak in peaks["peaks"].items() if name != "rot180"}
        best = min(others, key=others.__getitem__, default=None)
        limit = f"{found[best]} ({best})" if best else "-"
        ours = peaks["peaks"].get("rot180") if best else None
        faults = "".join(f"; {name} not run: {fault}" for name, fault in peaks["faults"].items())
        rows.append(
            (
                f"peak of memory, {peaks['name']}",
                found.get("rot180", "-") + faults,
                limit,
                verdict(ours, others.get(best, 0), at_least=False),
            )
        )
    return rows


def _launch_row(launches: dict[str, Any]) -> Row:
    """Return the row of what it takes to run one kernel on all threads."""
    taken, target = launches["microseconds"], launches["target"]
    ours, openmp = taken.get("rot180"), taken.get("omp")
    text = f"{ours:.2f} us" if ours is not None else f"not run: {launches['faults']['rot180']}"
    if "workqueue" in taken:
        text += f" (Numba's work queue: {taken['workqueue']:.2f} us)"
    return (
        f"a kernel that does nothing, {launches['threads']} threads",
        text,
        f"{target} times OpenMP's {openmp:.2f} us" if openmp is not None else "-",
        verdict(ours if openmp is not None else None, target * (openmp or 0), at_least=False),
    )


TABLES = {
    "ratios": ("work", "threads", "rot180 ms", "of peak", "best peer", "its ms", "ratio", "at least", "reached"),
    "contenders": ("work", "contender", "ms", "images/s", "GFLOP/s", "cores busy", "difference"),
    "passes": ("pass", "rot180", "torch", "peak GFLOP/s", "at least", "reached"),
    "waits": ("what", "measured", "at most", "reached"),
}
"""Columns of each table."""


def tables(result: dict[str, Any]) -> dict[str, list[Row]]:
    """Return the rows of each table that is not empty."""
    found = {
        "ratios": ratio_rows(result["works"], result["speed"]),
        "contenders": contender_rows(result["works"]),
        "passes": pass_rows(result["passes"]),
        "waits": wait_rows(result),
    }
    return {name: rows for name, rows in found.items() if rows}


def print_tables(result: dict[str, Any], console: Console) -> None:
    """Print everything."""
    console.print(heading(result))
    for name, rows in tables(result).items():
        table = Table(title=name, title_justify="left")
        for position, column in enumerate(TABLES[name]):
            table.add_column(column, justify="left" if position == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def heading(result: dict[str, Any]) -> str:
    """Return machine, versions, commit and trials in a few lines."""
    machine, settings = result["machine"], result["settings"]
    speed = result["speed"]
    cores = (
        f"{machine['processor']}, LLVM {machine['llvm_cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}"
    )
    rates = (
        f"peak {speed['peak_one_core_gflops']:.0f} GFLOP/s on one core, {speed['peak_all_cores_gflops']:.0f} on "
        f"{speed['threads']}; memory {speed['triad_gbytes']:.0f} GB/s (triad), {speed['copy_gbytes']:.0f} (copy)"
    )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result["versions"].items()))
    run = f"commit {result['commit']}, {settings['trials']} trials of {settings['turn_seconds']} s each, alternating"
    if settings["cores_busy_otherwise"] is not None:
        run += f"; at most {settings['cores_busy_otherwise']:.2f} cores busy with anything else"
    mark = "*: counted as direct convolution, of whose multiply-adds minimal filtering makes fewer"
    return "\n".join(line for line in (cores, rates, versions, run, mark) if line)
