"""The findings of a health check, and how they are printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rot180.language import display_width, pad, translate

__all__ = ["Finding", "HealthReport", "LayerHealth"]


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes
    ----------
    what : str
        `dead units`, `vanishing deltas`, `overfitting`, ...
    where : str
        The layer; empty if it concerns the whole training.
    evidence : str
        The measurement, and the usual value.
    advice : str
        The remedies to try.
    options : tuple of str
        Arguments of `rot180 train` for the first remedy that has any, replacing those of the same name.
    """

    what: str
    where: str
    evidence: str
    advice: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the finding in one line."""
        place = f" in {self.where}" if self.where else ""
        return f"{self.what}{place}: {self.evidence}; {self.advice}"


@dataclass(frozen=True)
class LayerHealth:
    """The measurements of one layer; None where they do not apply.

    Attributes
    ----------
    name : str
    delta : float
        Root mean square of the gradient of its output, for the sum of the losses of the images. Without batch
        normalization that is the gradient for one image's loss.
    dead : float or None
        Fraction of its units that are zero for every image (ReLU), or of its scales that are near zero (normalization).
    saturated : float or None
        Fraction of its outputs where the derivative is below a tenth of its maximum (sigmoid, tanh).
    update : float or None
        Ratio of the size of an update to the size of the weight.
    is_map : bool
        Whether its outputs are maps, not units.
    behind : str
        The normalization whose output it takes; empty if there is none.
    is_normalization : bool
        Whether it is a normalization.
    """

    name: str
    delta: float
    dead: float | None = None
    saturated: float | None = None
    update: float | None = None
    is_map: bool = False
    behind: str = ""
    is_normalization: bool = False


@dataclass(frozen=True)
class HealthReport:
    """The findings, the most serious first, and the measurements by layer."""

    findings: tuple[Finding, ...]
    layers: tuple[LayerHealth, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, ready for JSON."""
        return {
            "healthy": self.healthy,
            "findings": [asdict(finding) for finding in self.findings],
            "layers": [asdict(layer) for layer in self.layers],
        }

    def table(self) -> str:
        """Return the measurements, one line per layer."""
        rows = [tuple(map(translate, ("layer", "delta", "dead", "saturated", "update/weight")))]
        for layer in self.layers:
            rows.append(
                (
                    layer.name,
                    f"{layer.delta:.1e}",
                    "" if layer.dead is None else f"{100 * layer.dead:.0f}%",
                    "" if layer.saturated is None else f"{100 * layer.saturated:.0f}%",
                    "" if layer.update is None else f"{layer.update:.1e}",
                )
            )
        widths = [max(display_width(row[column]) for row in rows) for column in range(5)]
        return "\n".join(
            "  ".join(
                pad(cell, width, right=column > 0) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )
