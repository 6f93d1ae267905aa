"""What a run says in the end."""

from torture.run import Outcome


def summary(outcome: Outcome) -> str:
    """Figures, findings, and one line with the verdict."""
    lines = ["", "summary"]
    for name, value in outcome.figures.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {_plain(part)}" for key, part in value.items()) or "none"
        lines.append(f"  {name}: {value}")
    for finding in outcome.findings:
        lines.append(f"FOUND {finding}")
    kinds: dict[str, int] = {}
    for finding in outcome.findings:
        kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
    lines.append(f"FAILED: {', '.join(f'{count} x {kind}' for kind, count in kinds.items())}" if kinds else "PASSED: nothing was found")
    return "\n".join(lines)


def _plain(value: object) -> str:
    return f"({', '.join(f'{key} {part}' for key, part in value.items())})" if isinstance(value, dict) else str(value)
