"""`kubectl anomaly completion SHELL`: a script for those who call `kubectl-anomaly` itself.

`kubectl anomaly ...` needs none: kubectl asks `kubectl_complete-anomaly`, which is installed beside the plugin.
"""

import argparse
from typing import Final

from kubectl_anomaly.exits import Exit
from kubectl_anomaly.kubectl import Kubectl

_SCRIPTS: Final = {
    "bash": """_kubectl_anomaly() {
    local IFS=$'\\n'
    COMPREPLY=($(kubectl_complete-anomaly "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | grep -v '^:'))
}
complete -o default -F _kubectl_anomaly kubectl-anomaly
""",
    "zsh": """#compdef kubectl-anomaly
_kubectl_anomaly() {
    local -a found
    found=(${(f)"$(kubectl_complete-anomaly "${(@)words[2,$CURRENT]}" 2>/dev/null | grep -v '^:')"})
    compadd -a found
}
compdef _kubectl_anomaly kubectl-anomaly
""",
    "fish": """function __kubectl_anomaly
    kubectl_complete-anomaly (commandline -opc)[2..] (commandline -ct) 2>/dev/null | grep -v "^:"
end
complete -c kubectl-anomaly -f -a '(__kubectl_anomaly)'
""",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("shell", metavar="SHELL", choices=list(_SCRIPTS), help="bash, zsh or fish")


def run(asked: argparse.Namespace, _: Kubectl) -> int:
    """Prints it."""
    print(_SCRIPTS[asked.shell], end="")
    return Exit.DONE
