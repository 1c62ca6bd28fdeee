"""Human-readable numbers: three digits and a unit."""

from __future__ import annotations


def amount(value: float) -> str:
    """Return a count with K, M or G.

    >>> amount(0), amount(999), amount(321_126_400)
    ('0', '999', '321 M')
    """
    return _scaled(value, 1000, ("", " K", " M", " G", " T"))


def memory(count: float) -> str:
    """Return a number of bytes in units of 1000.

    >>> memory(640), memory(20_070_400)
    ('640 B', '20.1 MB')
    """
    return _scaled(count, 1000, (" B", " kB", " MB", " GB", " TB"))


def duration(seconds: float) -> str:
    """Return a time in a suitable unit.

    >>> duration(0.0034), duration(2.5e-6), duration(12)
    ('3.4 ms', '2.5 µs', '12 s')
    """
    if seconds >= 1:
        return f"{_digits(seconds)} s"
    if seconds >= 1e-3:
        return f"{_digits(1e3 * seconds)} ms"
    return f"{_digits(1e6 * seconds)} µs"


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds without the unit, for table columns.

    >>> milliseconds(0.0034), milliseconds(2.5e-6), milliseconds(1.25)
    ('3.40', '0.003', '1250')
    """
    value = 1e3 * seconds
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def dimensions(shape: tuple[int, ...]) -> str:
    """Return a shape as text; the shape of a scalar is 1.

    >>> dimensions((32, 14, 14, 64)), dimensions(())
    ('32x14x14x64', '1')
    """
    return "x".join(map(str, shape)) or "1"


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    unit = 0
    while value >= base * 0.9995 and unit < len(units) - 1:
        value, unit = value / base, unit + 1
    return f"{value:.0f}{units[0]}" if unit == 0 else f"{_digits(value)}{units[unit]}"


def _digits(value: float) -> str:
    """Return three significant digits, without trailing zeros."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
