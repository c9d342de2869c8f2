"""What a walk along the ledger found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the ledger is not what it was: whose chain, which record, what."""

    subject_id: str | None
    seq: int | None
    what: str

    def __str__(self) -> str:
        """For the terminal."""
        if self.subject_id is None:
            return self.what
        place = self.subject_id if self.seq is None else f"{self.subject_id} #{self.seq}"
        return f"{place}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """Counts of what was walked, and the findings; `newest` is the last checkpoint's root."""

    subjects: int = 0
    records: int = 0
    redacted: int = 0
    states: int = 0
    checkpoints: int = 0
    unsigned: int = 0
    """Records newer than the last checkpoint."""
    newest: str | None = None
    findings: list[Finding] = field(default_factory=list)
    omitted: int = 0
    """Findings beyond the limit, counted but not kept."""

    @property
    def intact(self) -> bool:
        """Whether every chain is whole."""
        return not self.findings

    def found(self, what: str, subject_id: str | None = None, seq: int | None = None) -> None:
        """Note a finding; after a thousand only their number."""
        if len(self.findings) < _MOST:
            self.findings.append(Finding(subject_id, seq, what))
        else:
            self.omitted += 1


_MOST = 1000
