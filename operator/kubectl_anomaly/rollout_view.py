"""What a status says of rollouts: the candidate, its steps and evidence, what was aborted. Pure: documents in, words out."""

from collections.abc import Iterator
from typing import Any

from kubectl_anomaly.detector_view import Document, at, number
from kubectl_anomaly.node import Node
from kubectl_anomaly.printing import age

_COUNTS = ("both", "onlyStable", "onlyCandidate", "neither", "stableEpisodes", "candidateEpisodes", "errors")


def summary(detector: Document, now: float) -> dict[str, str]:
    """Lines at the top of the tree, by their names."""
    candidate, handled = at(detector, "status", "candidate"), at(detector, "status", "commandHandled")
    lines = {}
    if candidate:
        began = age(candidate.get("stepSince") or candidate.get("since"), now)
        lines["Rollout"] = f"{phase(candidate)} · step {candidate.get('step', '-')}{_step(detector, candidate)} · for {began}"
        if phase(candidate) == "Paused":
            lines[""] = candidate.get("reason", "")  # else the message says so
    asked = at(detector, "status", "command")
    if asked and asked.get("id") != (handled or {}).get("id"):
        lines["Command"] = f"{asked['name']} by {asked.get('by') or 'somebody'}: the operator has not answered yet"
    elif handled and not handled["accepted"]:
        lines["Command"] = f"refused {age(handled.get('at'), now)} ago: {handled['message']}"
    return lines


def phase(candidate: Document) -> str:
    """Of the rollout."""
    return str(candidate.get("phase") or "Candidate")


def steps(detector: Document, candidate: Document) -> list[str]:
    """What each step of the rollout is, in a word or two; empty where the spec's steps are not those of this rollout."""
    asked = at(detector, "spec", "rollout") or {}
    total = str(candidate.get("step", "")).partition("/")[2]
    for known in (asked.get("steps"), asked.get("settingsSteps")):
        if known and str(len(known)) == total:
            return [_named(step) for step in known]
    return []


def _named(step: Document) -> str:
    kind = next(iter(step), "")
    value = step.get(kind)
    if kind == "weight":
        return f"weight {value} %"
    if kind == "shadow":
        return f"shadow {at(value, 'for') or '30m'}"
    if kind == "pause":
        return f"pause {at(value, 'for') or 'until someone says go'}"
    return kind


def _step(detector: Document, candidate: Document) -> str:
    named = steps(detector, candidate)
    place = str(candidate.get("step", "0")).partition("/")[0]
    if place.isdigit() and 0 < int(place) <= len(named):
        return f" ({named[int(place) - 1]})"
    return ""


def node(detector: Document, candidate: Document, now: float, below: list[Node]) -> Node:
    """The candidate, with its model, its evidence and the measures of the analysis."""
    counts = counted(candidate)
    info = f"step {candidate.get('step', '-')} · weight {candidate.get('weight', 0)} %"
    children = [*below]
    if counts:
        children.append(Node("≡", "evidence", "Evidence", _windows(counts), "dim", info=_compared(counts)))
    children += [
        Node("∿", each["name"], "Measure", number(each.get("value")), "dim", info=_bounds(each))
        for each in candidate.get("measures") or []
    ]
    since = age(candidate.get("since"), now)
    return Node("#", candidate["revision"], "Revision", f"candidate {phase(candidate)}", "wait", since, info, children)


def counted(candidate: Document) -> dict[str, int]:
    """The candidate's paired counts, those of all pods together; empty where nothing was counted."""
    evidence = candidate.get("evidence")
    if not evidence:
        return {}
    parts = [evidence.get("settled") or {}, *(evidence.get("instances") or {}).values()]
    return {name: sum(part.get(name, 0) for part in parts) for name in _COUNTS}


def _windows(counts: dict[str, int]) -> str:
    return f"{counts['both'] + counts['onlyStable'] + counts['onlyCandidate'] + counts['neither']:,} windows"


def _compared(counts: dict[str, int]) -> str:
    said = (
        f"high for both {counts['both']:,}, only stable {counts['onlyStable']:,}, only candidate {counts['onlyCandidate']:,}"
        f" · episodes {counts['stableEpisodes']:,} : {counts['candidateEpisodes']:,}"
    )
    return f"{said} · {counts['errors']} errors" if counts["errors"] else said


def _bounds(measure: Document) -> str:
    """What is in brackets after the measure's name and value, which have columns of their own."""
    message = str(measure.get("message", ""))
    inside = message.partition("(")[2]
    return inside[:-1] if message.startswith(f"{measure['name']} is ") and inside.endswith(")") else message


def aborted(detector: Document, now: float) -> Iterator[Node]:
    """The revision that the spec asks for and that was taken away."""
    found = at(detector, "status", "aborted")
    if found:
        info = f"{found['reason']}: {found['message']}"
        yield Node("#", found["revision"], "Revision", "aborted", "bad", age(found.get("since"), now), info)


def outcomes(detector: Document) -> list[dict[str, Any]]:
    """What became of revisions, the newest first: revision, model, outcome, since, reason, message, figures.

    A revision that was rolled out twice is there once, as it ended last; stable and candidate say what they are now.
    """
    status = detector.get("status") or {}
    now = {
        each["revision"]: outcome
        for part, outcome in (("stable", "Stable"), ("candidate", "Candidate"))
        if (each := status.get(part))
    }
    found: dict[str, dict[str, Any]] = {}
    history = sorted(status.get("history") or [], key=lambda each: str(each.get("began")), reverse=True)
    for each in history:
        told = {**each, "since": each.get("changed"), "outcome": now.get(each["revision"], each.get("outcome"))}
        found.setdefault(each["revision"], told)
    for part, outcome in (("stable", "Stable"), ("candidate", "Candidate")):
        each = status.get(part)
        if each and each["revision"] not in found:
            told = {name: each[name] for name in ("model", "since", "reason") if each.get(name) is not None}
            found = {each["revision"]: {"revision": each["revision"], "outcome": outcome, **told}, **found}
    return list(found.values())
