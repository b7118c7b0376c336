# SPDX-License-Identifier: Apache-2.0
"""Where things are, which ports and folders are free, and which processes we started."""
import atexit
import contextlib
import ctypes
import fcntl
import functools
import itertools
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SCEP_BUILD_DIR", SOURCE / "build")).resolve()
ROOT = os.geteuid() == 0
USER = "www-data"
REDIS = os.environ.get("SCEP_REDIS_SERVER", "redis-server")    # or another version, or valkey-server
MPMS = ("event", "worker", "prefork")


def module(name="mod_scep"):
    """Path of a built module, None if it is not built."""
    for folder in (BUILD / ".libs", BUILD / "tests" / "mod_scep_fault" / ".libs", BUILD):
        if (folder / (name + ".so")).exists():
            return folder / (name + ".so")
    return None


@functools.lru_cache(maxsize=None)
def apxs(what):
    """An answer of apxs -q."""
    tool = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2") or "apxs"
    return subprocess.run([tool, "-q", what], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=True).stdout.decode().strip()


@functools.lru_cache(maxsize=None)
def httpd_program():
    return os.path.join(apxs("SBINDIR"), apxs("PROGNAME"))


@functools.lru_cache(maxsize=None)
def static_modules():
    """Names of the modules that are compiled into httpd."""
    text = subprocess.run([httpd_program(), "-l"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=True).stdout.decode()
    return {line.strip()[:-2] for line in text.splitlines() if line.strip().endswith(".c")}


@functools.lru_cache(maxsize=None)
def sanitizer_environment():
    """What httpd needs in its environment to load a module built with sanitizers."""
    if os.environ.get("SCEP_ASAN") != "1":
        return {}
    preload = os.environ.get("SCEP_LD_PRELOAD")
    if not preload:
        text = subprocess.run(["ldd", str(module())], stdout=subprocess.PIPE, check=True).stdout.decode()
        found = [line.split("=>")[1].split()[0] for line in text.splitlines()
                 if ("libasan" in line or "libclang_rt.asan" in line) and "/" in line]
        preload = found[0] if found else subprocess.run(
            ["gcc", "-print-file-name=libasan.so"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    options = os.environ.get("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=0")
    return {"LD_PRELOAD": preload, "ASAN_OPTIONS": options,
            "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1")}


VALGRIND = os.environ.get("SCEP_VALGRIND") == "1"


def valgrind(folder):
    """What runs httpd under valgrind, when asked for; each process writes folder/valgrind/PID.

    Whoever a worker runs as may write there: a child that valgrind cannot give a file of its own ends."""
    if not VALGRIND:
        return []
    (folder / "valgrind").mkdir(exist_ok=True)
    (folder / "valgrind").chmod(0o1777)
    return ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite", "--keep-debuginfo=yes", "--num-callers=40",
            "--log-file=%s/valgrind/%%p" % folder]


def valgrind_findings(folder):
    """What valgrind said of the processes of folder, where a frame is in a source file of ours."""
    ours = {path.name for room in ("common", "policy", "ca_backend", "mod_scep")
            for path in (SOURCE / room).rglob("*.c")}
    found = []
    for path in sorted((folder / "valgrind").glob("[0-9]*")):
        for block in re.split(r"\n==\d+== \n", path.read_text("utf-8", "replace")):
            if ours & set(re.findall(r"\((\w+\.c):\d+\)", block)):
                found.append("%s: %s" % (path.name, block))
        path.rename(path.with_name("seen-" + path.name))
    return found


def base():
    """The folder of this run, shared by all of pytest's workers."""
    return pathlib.Path(os.environ["SCEP_TEST_BASE"])


_folders = itertools.count(1)


def folder(hint):
    """A new folder that www-data can traverse, with a short name for the sake of unix sockets."""
    path = base() / ("%s-%d-%d" % (hint[:16], os.getpid(), next(_folders)))
    path.mkdir(mode=0o755)
    return path


@contextlib.contextmanager
def lock(name):
    """Held by one process of the run at a time."""
    with open(base() / (name + ".lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


_random = random.Random(os.getpid() ^ time.time_ns())


def free_port(host="127.0.0.1"):
    """A port that nobody listens on, below the range of outgoing connections, given once per run."""
    for _ in range(1000):
        port = _random.randrange(15000, 32000)
        marker = base() / ("port-%d" % port)
        with contextlib.suppress(FileExistsError, OSError):
            marker.touch(exist_ok=False)
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.bind((host, port))
            return port
    raise RuntimeError("no free port")


@functools.lru_cache(maxsize=None)
def redis_version():
    """The first number; Valkey begins with 7."""
    text = subprocess.run([REDIS, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return int(re.search(r"v=(\d+)", text).group(1))


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


_started = []


def start(arguments, **how):
    """A child process that ends when we do, in a session of its own: prefork signals its whole group."""
    process = subprocess.Popen([str(a) for a in arguments], preexec_fn=_die_with_parent,
                               start_new_session=True, **how)
    _started.append(process)
    return process


def stop(process, timeout=20):
    """Ends a process that start() made; returns its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in _started:
        _started.remove(process)
    return process.returncode


@atexit.register
def _stop_all():
    for process in list(_started):
        stop(process, 5)


def wait_until(check, timeout=20, step=0.03, what="it did not happen"):
    """Waits until check() is true; returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("%s within %s s" % (what, timeout))
        time.sleep(step)


def listening(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False
