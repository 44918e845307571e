"""What people ask of a rollout by `status.command`, and why it is not done, where it is not. Pure."""

from collections.abc import Callable

from anomaly_api.assignment import Revision
from anomaly_api.rollout_status import CommandName, RolloutCommand
from anomaly_api.status import DetectorStatus
from anomaly_operator.core.rollout.machine import Phase, State


def pending(status: DetectorStatus) -> RolloutCommand | None:
    """The command that has not been answered."""
    command, handled = status.command, status.command_handled
    if command is None or (handled is not None and handled.id == command.id):
        return None
    return command


def undo_target(status: DetectorStatus, command: RolloutCommand | None) -> str:
    """Name of the revision that an undo goes back to; empty: to the stable one, by taking the candidate away."""
    if command is None or command.name is not CommandName.UNDO:
        return ""
    stable = status.stable.revision if status.stable else ""
    if command.to is not None:
        return "" if status.candidate is not None and command.to == stable else command.to
    if status.candidate is not None:
        return ""
    return next((row.revision for row in status.history or [] if row.outcome == "Promoted" and row.revision != stable), "")


def refusal(
    status: DetectorStatus, state: State, desired: str, command: RolloutCommand, usable: Callable[[str], Revision | None]
) -> str:
    """Why the command cannot be done, for people; empty when it can be tried.

    `usable` gives the revision of a name, where its content and its model are still there.
    """
    if command.name is CommandName.UNDO:
        return _undo_refusal(status, state, command, usable)
    if command.name is CommandName.RETRY:
        if state.phase is not Phase.ABORTED:
            return "nothing was taken away that could be tried again"
        other = command.revision is not None and command.revision != desired[:8]
        return f"the spec asks for revision {desired[:8]} by now" if other else ""
    if not state.candidate:
        return "no rollout is under way"
    if state.candidate != desired:
        return f"the spec asks for revision {desired[:8]} by now"
    if command.revision is None and command.name in (CommandName.PROMOTE, CommandName.PROMOTE_FULL):
        return "say which revision is meant (command.revision), so that no other one is promoted"
    if command.revision is not None and command.revision != state.candidate[:8]:
        return f"the candidate is revision {state.candidate[:8]}, not {command.revision}"
    return ""


def _undo_refusal(status: DetectorStatus, state: State, command: RolloutCommand, usable: Callable[[str], Revision | None]) -> str:
    target = undo_target(status, command)
    if not target:
        return "" if state.candidate else "no revision is known that was stable before"
    if target == state.stable[:8]:
        return f"revision {target} decides already"
    been = {row.revision for row in status.history or [] if row.outcome == "Promoted"}
    if target not in been:
        return f"revision {target} has never been stable: only what was analysed may decide"
    return "" if usable(target) is not None else f"the content of revision {target}, or its model, is not kept any more"
