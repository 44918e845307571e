"""The operator's orders as it writes them: two files in a mounted folder. Nothing is loaded or watched here."""

from pathlib import Path

from pydantic import ValidationError

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.meta import ASSIGNMENT_FILE, RUNTIME_FILE


class AssignmentError(Exception):
    """A file of the operator's that is missing or makes no sense; the message says which and why."""


def runtime(folder: Path) -> Runtime:
    """Raises AssignmentError."""
    path = folder / RUNTIME_FILE
    try:
        return Runtime.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(path, error) from error


def assignment(folder: Path) -> Assignment:
    """Raises AssignmentError."""
    path = folder / ASSIGNMENT_FILE
    try:
        return Assignment.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(path, error) from error


def reason(error: Exception) -> str:
    """Returns in one line why a file cannot be used."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)


def _unreadable(path: Path, error: Exception) -> AssignmentError:
    return AssignmentError(f"{path}: {reason(error)}; the operator writes it, see its log")
