"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """what is so, where, and how to mend it. wrong: it has to be mended; otherwise it is told for the author to judge."""

    what: str
    where: str
    mend: str = ""
    wrong: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.mend}" if self.mend else "")


def wrong(findings: Iterable[Finding]) -> list[str]:
    """The findings that have to be mended, as texts."""
    return [str(finding) for finding in findings if finding.wrong]
