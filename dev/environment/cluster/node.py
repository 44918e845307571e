"""The node's side of the whole cluster: scheduler, containerd, kubelet, kube-proxy and DNS, and their settings.

Everything runs in the group's own namespaces. Nothing inside reaches the network outside, and no file is written
outside the state folder: what has a fixed path (/run, /var/log, /var/lib/cni) is mounted over.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from dev.environment.cluster.binaries import Binaries
from dev.environment.cluster.credentials import Credentials
from dev.environment.supervision.plan import Component

NAME = "dev"  # the node's
ADDRESS = "10.243.0.1"
PODS = "10.244.0.0/24"
PAUSE = "localhost/pause:1"
CONTAINERD = "containerd"  # the folder of its images
SYNC = "1m"
"""kubelet's own default."""
PACKAGES = ("containerd", "runc", "containernetworking-plugins", "nftables", "iproute2")


def containerd_socket(folder: Path) -> Path:
    return folder / "containerd.sock"


def ctr(folder: Path, *arguments: str) -> str:
    """Returns what containerd's client prints, in the namespace of Kubernetes' images."""
    command = ["ctr", "--address", str(containerd_socket(folder)), "--namespace", "k8s.io", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def preparation(folder: Path) -> tuple[tuple[str, ...], ...]:
    """The mounts and the network, inside the namespaces."""
    for made in ("logs", "var-log", "tmp"):
        (folder / made).mkdir(exist_ok=True)
    return (
        ("mount", "-t", "tmpfs", "tmpfs", "/run"),
        ("mount", "--bind", str(folder / "var-log"), "/var/log"),
        ("mkdir", "-p", "/run/cni", "/var/lib/cni"),
        ("mount", "--bind", "/run/cni", "/var/lib/cni"),
        ("ip", "link", "set", "lo", "up"),
        # An empty bridge carries the node's address: not every kernel has dummy devices.
        ("ip", "link", "add", "node0", "type", "bridge"),
        ("ip", "address", "add", f"{ADDRESS}/32", "dev", "node0"),
        ("ip", "link", "set", "node0", "up"),
        ("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
    )


def components(
    programs: Binaries, keys: Credentials, folder: Path, server: str, cgroup: str, sync: str = SYNC
) -> list[Component]:  # fmt: skip
    """Writes their settings into the folder. `sync`: how often kubelet looks for changed Secrets and ConfigMaps."""
    scheduler = keys.kubeconfig("scheduler", server, "system:kube-scheduler")
    node = keys.kubeconfig("node", server, f"system:node:{NAME}", "system:nodes")
    proxy = keys.kubeconfig("proxy", server, "system:kube-proxy")
    dns = keys.kubeconfig("dns", server, "coredns", "system:masters")
    _network(folder)
    kubelet_config = _kubelet(folder, keys, cgroup, sync)
    return [
        Component(
            "kube-scheduler",
            (programs["kube-scheduler"], "--kubeconfig", scheduler, "--leader-elect=false", "--secure-port=0"),
        ),
        Component(
            "containerd",
            ("containerd", "--config", containerd_settings(folder)),
            ready=f"unix://{containerd_socket(folder)}",
            env={"TMPDIR": str(folder / "tmp")},
        ),
        Component(
            "kubelet",
            (
                *(programs["kubelet"], "--config", kubelet_config, "--kubeconfig", node, "--node-ip", ADDRESS),
                *("--hostname-override", NAME, "--root-dir", str(folder / "kubelet")),
                *("--cert-dir", str(folder / "kubelet" / "keys")),
            ),
            ready="http://127.0.0.1:10248/healthz",
        ),
        Component("kube-proxy", (programs["kube-proxy"], "--config", _proxy(folder, proxy))),
        Component("coredns", (programs["coredns"], "-conf", _coredns(folder, dns)), ready="http://127.0.0.1:8181/ready"),
    ]


def _written(path: Path, content: str | dict[str, object]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    return str(path)


def _network(folder: Path) -> None:
    """A routed pair of devices a pod. A bridge would need br_netfilter for services, and this needs no iptables."""
    addresses = {"type": "host-local", "dataDir": str(folder / "addresses")}
    plugin = {"type": "ptp", "ipam": {**addresses, "subnet": PODS, "routes": [{"dst": "0.0.0.0/0"}]}}
    _written(folder / "cni" / "10-pods.conflist", {"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]})


def containerd_settings(folder: Path) -> str:
    return _written(
        folder / "containerd.toml",
        f"""\
version = 2
root = "{folder}/{CONTAINERD}"
state = "{folder}/containerd-state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
address = "{containerd_socket(folder)}"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true  # without it, runc dies where this machine may not lower its own score
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
""",
    )


def _kubelet(folder: Path, keys: Credentials, cgroup: str, sync: str) -> str:
    _written(folder / "resolv.conf", "")
    return _written(
        folder / "kubelet.json",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": keys.path("ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,  # 1.34 is the last minor whose kubelet starts on version 1
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{containerd_socket(folder)}",
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(folder / "resolv.conf"),
            "makeIPTablesUtilChains": False,
            # The developer's disk is not ours to judge: neither pods nor images go because it is nearly full.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "syncFrequency": sync,
            "volumePluginDir": str(folder / "volume-plugins"),
        },
    )


def _proxy(folder: Path, kubeconfig: str) -> str:
    unlimited = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    return _written(
        folder / "proxy.json",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": kubeconfig},
            "clusterCIDR": PODS,
            "hostnameOverride": NAME,
            "conntrack": unlimited,  # the kernel's own settings are the machine's
        },
    )


def _coredns(folder: Path, kubeconfig: str) -> str:
    return _written(
        folder / "Corefile",
        f"""\
.:53 {{
  bind {ADDRESS}
  ready 127.0.0.1:8181
  errors
  cache 5
  kubernetes cluster.local {{
    kubeconfig {kubeconfig} dev
    pods insecure
  }}
}}
""",
    )
