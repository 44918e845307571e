"""`kubectl anomaly ack NAME KIND`: says what an alert was worth (docs/feedback.md).

The label is written to Kafka by a scoring pod, with its credentials: it needs the right to pods/exec, and no access to Kafka.
"""

import argparse
import json
from typing import Final

from anomaly_api.feedback import LabelKind
from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import Kubectl
from kubectl_anomaly.pod_command import in_pod
from kubectl_anomaly.printing import structured

_EPISODE: Final = 32
"""Characters of an episode's id."""
_SINCE: Final = "30d"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("name", metavar="NAME", help="the detector")
    parser.add_argument(
        "label", metavar="LABEL", choices=[kind.value for kind in LabelKind], help="TrueAlarm, FalseAlarm, Missed, Normal"
    )
    parser.add_argument("episode", metavar="EPISODE", nargs="?", help="as `alerts` shows it; its first characters are enough")
    parser.add_argument("--entity", metavar="ENTITY", help="with --from and --until, in place of EPISODE")
    parser.add_argument("--from", metavar="TIME", help="event time, as 2026-01-31T10:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="the same")
    parser.add_argument("--by", metavar="WHO", help="who says so; default: whom the cluster knows you as")
    parser.add_argument("--note", metavar="TEXT", help="why")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    given = vars(asked)
    episode = asked.episode and _whole(kubectl, asked.name, asked.episode)
    options = {"--episode": episode, "--entity": asked.entity, "--from": given["from"], "--until": asked.until}
    told = options | {"--by": asked.by or whoami(kubectl), "--note": asked.note}
    words = [word for name, value in told.items() if value for word in (f"{name}={value}",)]
    said = in_pod(kubectl, asked.name, "label", asked.label, *words)
    topic, _, record = said.strip().partition(": ")
    label = json.loads(record)
    if asked.output == "name":
        print(label.get("episode") or label["entity"])
    elif asked.output:
        print(structured({"topic": topic, "label": label}, asked.output))
    else:
        of_what = f"episode {episode}" if episode else f"{asked.entity}, {given['from']} to {asked.until}"
        print(f"{asked.label}: {of_what}, says {label['by']} (topic {topic})")
    return Exit.DONE


def _whole(kubectl: Kubectl, name: str, episode: str) -> str:
    """The episode that begins with these characters. Raises PluginError where it is not one."""
    if len(episode) == _EPISODE:
        return episode
    found = in_pod(kubectl, name, "alerts", f"--episode={episode}", f"--since={_SINCE}", "--all").splitlines()
    known = {json.loads(line)["data"]["episode"] for line in found}
    if len(known) != 1:
        what = f"{len(known)} episodes begin with" if known else "there is no episode"
        raise PluginError(Exit.NOT_FOUND, f"{what} {episode} in the last {_SINCE}")
    return str(known.pop())


def whoami(kubectl: Kubectl) -> str:
    """The user's name as the API server knows it. Raises PluginError."""
    found = json.loads(kubectl.run("auth", "whoami", "-o", "json"))
    return str(found["status"]["userInfo"]["username"])[:253]
