"""A network that nobody else sees: two switches, and a plug for each machine that can be pulled out.

On loopback a dead machine's kernel still answers for it: whoever asks is refused at once. Behind a
pulled plug nobody answers at all, as when the power is gone, and what lives there goes on living.
Root and Linux only, in network namespaces of our own that vanish with the process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

NARU = "10.0.0.1"
SWITCH, OTHER_SWITCH = "switch", "switch2"
_CLONE_NEWNET = 0x40000000


class NoNetwork(Exception):
    """This machine cannot make such a network; the text says why."""


def own_network() -> None:
    """From here on we and our children live in a network of our own, at the address NARU.

    Call it from the main thread, before there are others. Raises NoNetwork.
    """
    if os.geteuid() != 0:
        raise NoNetwork("only root can make a network")
    if shutil.which("ip") is None:
        raise NoNetwork("there is no ip: apt-get install iproute2")
    _new_namespace()
    for switch in (SWITCH, OTHER_SWITCH):
        _ip("link", "add", switch, "type", "bridge")
        _ip("link", "set", switch, "up")
    join_switch(True)


def join_switch(on: bool) -> None:
    """Whether Naru's own machine has its address at the switch."""
    _ip("address", "add" if on else "del", f"{NARU}/24", "dev", SWITCH)


class Plug:
    """One machine's own network, and the cable from it to the switch. Raises NoNetwork."""

    def __init__(self, name: str, address: str) -> None:
        self._name = name
        ours = _namespace()
        try:
            _new_namespace()
            self._namespace = _namespace()
            _ip("link", "add", "eth0", "type", "veth", "peer", "name", name)
            _ip("address", "add", f"{address}/24", "dev", "eth0")
            _ip("link", "set", "eth0", "up")
            _ip("link", "set", name, "netns", f"/proc/{os.getpid()}/fd/{ours}")
        finally:
            _enter(ours)
            os.close(ours)
        _ip("link", "set", name, "up")
        self.put_in()

    def put_in(self, switch: str = SWITCH) -> None:
        """The cable leads to this switch. Naru's machine is at SWITCH; no line joins the two."""
        _ip("link", "set", self._name, "master", switch)

    def pull_out(self) -> None:
        """The cable leads nowhere; nobody is told."""
        _ip("link", "set", self._name, "nomaster")

    def enter(self) -> None:
        """A child moves in here, before it gives up being root."""
        _enter(self._namespace)


def _new_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise NoNetwork(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    _ip("link", "set", "lo", "up")


def _namespace() -> int:
    return os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY | os.O_CLOEXEC)


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        raise NoNetwork(f"cannot enter: {os.strerror(ctypes.get_errno())}")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise NoNetwork(f"ip {' '.join(words)}: {done.stderr.strip()}")
