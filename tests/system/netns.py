# SPDX-License-Identifier: Apache-2.0
"""Hosts with addresses of their own on one machine: network namespaces at a bridge, whose links can be cut."""
import concurrent.futures
import ctypes
import itertools
import os
import shutil
import signal
import subprocess

import env
import httpd

PREFIX = "10.213.0."
CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)


def enter(space):
    """What runs a command in a namespace; "ip netns exec" would mount /sys anew too, which a chroot forbids."""
    return ["nsenter", "--net=/run/netns/" + space]


def ip(*arguments, space=None, check=True):
    return subprocess.run([*(enter(space) if space else []), "ip", *map(str, arguments)], check=check,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()


def why_not():
    """Why this machine makes no network namespaces; None: it does."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    name = "scep%d-try" % os.getpid()
    tried = subprocess.run(["ip", "netns", "add", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    made = subprocess.run([*enter(name), "ip", "link", "add", "br0", "type", "bridge"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    subprocess.run(["ip", "netns", "del", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return None if made.returncode == 0 else (tried.stdout + made.stdout).decode().strip() or "ip netns fails"


class Net:
    """The bridge is in a namespace of its own (the hub), where the clients are too, so that nothing outside of it is
    touched."""

    def __init__(self, *names):
        self.tag = "scep%d-%d" % (os.getpid(), next(_numbers))
        self.hub, self.hosts = self.tag + "-hub", {}
        ip("netns", "add", self.hub)
        ip("link", "set", "lo", "up", space=self.hub)
        ip("link", "add", "br0", "type", "bridge", space=self.hub)
        ip("address", "add", PREFIX + "254/24", "dev", "br0", space=self.hub)
        ip("link", "set", "br0", "up", space=self.hub)
        for number, name in enumerate(names, 1):
            self._add(name, number)

    def _add(self, name, number):
        space = "%s-%s" % (self.tag, name)
        self.hosts[name] = (space, PREFIX + str(number))
        ip("netns", "add", space)
        ip("link", "set", "lo", "up", space=space)
        ip("link", "add", "to" + name, "type", "veth", "peer", "name", "eth0", "netns", space, space=self.hub)
        ip("link", "set", "to" + name, "master", "br0", "up", space=self.hub)
        ip("address", "add", PREFIX + str(number) + "/24", "dev", "eth0", space=space)
        ip("link", "set", "eth0", "up", space=space)

    def address(self, name):
        return self.hosts[name][1]

    def prefix(self, name=None):
        """What runs a command at a host; None: where the clients are."""
        return enter(self.hosts[name][0] if name else self.hub)

    def start(self, name, *arguments, **how):
        return env.start([*self.prefix(name), *arguments], **how)

    def inside(self, call, name=None):
        """What call() gives in a thread whose new sockets are at a host."""
        def run():
            with open("/run/netns/" + (self.hosts[name][0] if name else self.hub), "rb") as space:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(space.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            return call()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()

    def link(self, name, state):
        """Cuts a host off ("down"), or puts it back ("up")."""
        ip("link", "set", "to" + name, state, space=self.hub)

    def kill(self, name):
        """kill -9 of all that runs at a host."""
        for pid in ip("netns", "pids", self.hosts[name][0]).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def close(self):
        for space in [space for space, _ in self.hosts.values()] + [self.hub]:
            ip("netns", "del", space, check=False)


class Httpd(httpd.Httpd):
    """An httpd at a host of a Net."""

    def __init__(self, net, name, services, **how):
        self.net, self.name = net, name
        super().__init__(services, host=net.address(name), port=8080, **how)

    def _command(self, *arguments):
        return [*self.net.prefix(self.name), *super()._command(*arguments)]

    def _is_up(self):
        return self.net.inside(super()._is_up)

    def challenges(self, count, service=0):
        return self.net.inside(lambda: super(Httpd, self).challenges(count, service))
