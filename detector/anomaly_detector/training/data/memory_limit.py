"""How much memory this process may take: what its control group says, which is the container's limit in a pod."""

from pathlib import Path
from typing import Final

_FILES: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Version 2 and 1 of control groups, as seen inside a container."""
_UNLIMITED: Final = 1 << 60


def memory_limit(files: tuple[Path, ...] = _FILES) -> int | None:
    """Bytes; None where there is no limit."""
    for file in files:
        try:
            said = file.read_text().strip()
        except OSError:
            continue
        return int(said) if said.isdigit() and int(said) < _UNLIMITED else None
    return None
