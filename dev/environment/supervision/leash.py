"""A prefix for a command: the process ends with the thread that started it, even by `kill -9`. It keeps its process id."""

from typing import Final

LEASHED: Final = ("setpriv", "--pdeathsig", "KILL", "--")
"""From util-linux. No `preexec_fn`: Python code between fork and exec can deadlock where there are threads."""
