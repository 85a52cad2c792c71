"""Nodes on this machine for the scripts beside this file: a client, a process, a cluster formed from them, what it costs. Standard library only.

Not a program. The scripts beside it and replicated_cluster.py import it; what they measure or check is theirs.
"""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOST = "127.0.0.1"
SLOTS = 16384
# Seconds in which what works has worked, on a machine that is busy with everything else too.
PATIENCE = 60
# Where the ports of these nodes begin and end. Those on the bus are 10000 above, and below the ones that Linux gives to outgoing connections.
PORTS = range(21201, 22200)
# A lock file for each port that is taken, here as in the black-box tests.
PORT_LOCKS = os.path.join(tempfile.gettempdir(), "pontoon-test-ports")
# Held until this process ends.
reserved = []
# Whoever starts nodes here marks the directory with this file, and deletes no directory without it.
MARK = ".create-cluster"


class Failure(Exception):
    """Something that had to work did not."""


class NodeError(Exception):
    """An error reply."""


class Connection:
    """RESP2 over one socket, as much of it as is needed here."""

    def __init__(self, port, timeout=5.0, host=HOST):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def call(self, *words):
        self.socket.sendall(request(*words))
        return self.reply()

    def calls(self, commands):
        """All at once; the answers, of which none may be an error."""
        self.socket.sendall(b"".join(request(*words) for words in commands))
        return [self.reply() for _ in commands]

    def reply(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("connection lost")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise NodeError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == "-1":
                return None
            body = self.reader.read(int(rest) + 2)
            if len(body) != int(rest) + 2:
                raise OSError("connection lost")
            return body[:-2].decode()
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        raise OSError("not RESP: %r" % line)

    def close(self):
        self.reader.close()
        self.socket.close()


def request(*words):
    """One command as bytes."""
    parts = ["*%d\r\n" % len(words)]
    for word in map(str, words):
        parts.append("$%d\r\n%s\r\n" % (len(word), word))
    return "".join(parts).encode()


def ask(port, *words, timeout=5.0, host=HOST):
    connection = Connection(port, timeout, host)
    try:
        return connection.call(*words)
    finally:
        connection.close()


def fields_of(text):
    """INFO or CLUSTER INFO as a dictionary."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def info_of(port, timeout=5.0):
    """CLUSTER INFO as a dictionary."""
    return fields_of(ask(port, "CLUSTER", "INFO", timeout=timeout))


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def reserve_ports(count):
    """The first of so many ports in a row that nobody uses, they and those 10000 above; no other script takes them until this process ends."""
    os.makedirs(PORT_LOCKS, exist_ok=True)
    row = []
    for port in PORTS:
        lock = open(os.path.join(PORT_LOCKS, str(port)), "a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            row = []
            continue
        row = row + [lock] if is_free(port) and is_free(port + 10000) else []
        if len(row) == count:
            reserved.extend(row)
            return port - count + 1
    sys.exit("there are no %d free ports in a row from %d on" % (count, PORTS[0]))


def until(seconds, what, condition, pause=0.02):
    """Tries until `condition()` is true and says what it was; a node that does not answer is not true yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
            if value:
                return value
        except (OSError, NodeError):
            pass
        if time.monotonic() > deadline:
            raise Failure("after %g s still not: %s" % (seconds, what))
        time.sleep(pause)


class Node:
    """One node's directory, and its process, started again as often as needed, perhaps under another program."""

    def __init__(self, port, data, binary, config=(), host=HOST):
        self.port = port
        self.host = host
        self.directory = os.path.join(data, str(port))
        self.binary = binary
        self.process = None
        # The node's own process id: not that of the program that it runs under.
        self.pid = None
        self.id = None
        os.makedirs(self.directory)
        lines = ["port %d" % port, "bind %s" % host, "protected-mode no", 'dir "%s"' % self.directory, "cluster-config-file nodes.conf", 'save ""', *config]
        with open(self.config_path(), "w") as file:
            file.write("".join(line + "\n" for line in lines))

    def config_path(self):
        return os.path.join(self.directory, "pontoon.conf")

    def nodes_conf(self):
        return os.path.join(self.directory, "nodes.conf")

    def start(self, under=()):
        with open(os.path.join(self.directory, "node.out"), "ab") as out:
            command = [*under, self.binary, self.config_path()]
            # What this process does with signals is inherited, Python's own changes too: a script may want a signal ignored.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, restore_signals=False)
        self.pid = self.process.pid
        if under:
            self.pid = until(PATIENCE, "%s runs the node" % under[0], lambda: child_of(self.process.pid) or self.ended() and -1)

    def start_until_up(self, under=()):
        """Its ports may be taken for a moment by some connection's own end: then again."""
        for _ in range(20):
            self.start(under)
            until(PATIENCE, "node %d answers" % self.port, lambda: self.ended() or self.pings())
            if not self.ended():
                return
            if "in use" not in self.last_words():
                break
            time.sleep(0.2)
        raise Failure("node %d ended at once with code %s:\n%s" % (self.port, self.process.returncode, self.last_words()))

    def pings(self):
        return self.ask("PING") == "PONG"

    def ask(self, *words, timeout=5.0):
        return ask(self.port, *words, timeout=timeout, host=self.host)

    def info(self, *section):
        """CLUSTER INFO, or a section of INFO, as a dictionary."""
        return fields_of(self.ask("INFO", *section) if section else self.ask("CLUSTER", "INFO"))

    def ended(self):
        return self.process is None or self.process.poll() is not None

    def kill(self):
        """SIGKILL, and wait for the end of everything."""
        if not self.ended():
            try:
                os.kill(self.pid if self.pid > 0 else self.process.pid, 9)
            except ProcessLookupError:
                pass
            self.process.wait(PATIENCE)

    def last_words(self):
        try:
            with open(os.path.join(self.directory, "node.out"), errors="replace") as file:
                return "".join(file.readlines()[-5:])
        except FileNotFoundError:
            return ""

    def role(self):
        return self.info()["cluster_raft_role"]


def child_of(pid):
    """The one child of a process, once it runs a program of its own."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            children = file.read().split()
        child = int(children[0])
        # Between fork and exec the child is still its parent's program.
        same = os.readlink("/proc/%d/exe" % child) == os.readlink("/proc/%d/exe" % pid)
        return None if same else child
    except (IndexError, OSError):
        return None


def form(nodes, seconds=PATIENCE):
    """Makes one cluster of started nodes: everyone meets the first, the slots are shared out, all say ok."""
    meet(nodes, seconds)
    share_slots(nodes)
    settled(nodes, seconds)


def meet(nodes, seconds=PATIENCE):
    first = nodes[0]
    for node in nodes[1:]:
        words = ("CLUSTER", "MEET", node.host, node.port)
        until(seconds, "node %d is met" % node.port, lambda: first.ask(*words, timeout=10) == "OK", 0.1)
    until(seconds, "all know each other", lambda: all(node.info()["cluster_known_nodes"] == str(len(nodes)) for node in nodes))
    for node in nodes:
        node.id = node.ask("CLUSTER", "MYID")


def share_slots(owners):
    for number, node in enumerate(owners):
        begin, end = SLOTS * number // len(owners), SLOTS * (number + 1) // len(owners) - 1
        until(PATIENCE, "node %d has its slots" % node.port, lambda: claimed(node, begin, end))


def claimed(node, begin, end):
    """Who was not answered in time may have got them all the same."""
    try:
        return node.ask("CLUSTER", "ADDSLOTSRANGE", begin, end) == "OK"
    except NodeError as error:
        if str(error).endswith("is already busy"):
            return True
        raise


def settled(nodes, seconds=PATIENCE):
    """Waits until every node says ok, has applied all that is logged, and has the same state."""

    seen = []

    def agreed():
        infos = [node.info() for node in nodes]
        names = ("cluster_raft_last_applied", "cluster_raft_last_index", "cluster_raft_state_hash", "cluster_raft_leader", "cluster_state")
        seen[:] = [" ".join(info[name] for name in names) for info in infos]
        return len(set(seen)) == 1 and infos[0]["cluster_state"] == "ok" and infos[0]["cluster_raft_leader"] != "-"

    try:
        until(seconds, "all agree", agreed)
    except Failure as failure:
        raise Failure("%s; applied, last index, state hash, leader and state are\n    %s" % (failure, "\n    ".join(seen))) from None


def voting(nodes, voters, seconds=PATIENCE):
    """Waits until so many nodes vote, as the leader and everyone else see it."""
    until(seconds, "%d voters" % voters, lambda: all(voter_count(node.info()) == voters for node in nodes))


def voter_count(info):
    value = info["cluster_raft_voters"]
    return int(value) if value.isdigit() and len(value) < 40 else len(value.split(","))


def leader_of(nodes):
    """The node that leads, as it says itself; none if none does."""
    for node in nodes:
        try:
            if not node.ended() and node.role() == "leader":
                return node
        except (OSError, NodeError):
            pass
    return None


def usage(pid):
    """Seconds on a CPU, times it went to sleep by itself, and when that was."""
    cpu = wakes = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
            cpu += int(file.read().split()[0]) / 1e9
        wakes += status("%d/task/%s" % (pid, task), "voluntary_ctxt_switches")
    return cpu, wakes, time.monotonic()


def status(pid, name):
    with open("/proc/%s/status" % pid) as file:
        return int(re.search(r"^%s:\s+(\d+)" % name, file.read(), re.M).group(1))


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Table:
    """Rows as they are measured; which limits were missed."""

    def __init__(self):
        self.missed = []

    def head(self, text):
        print("\n%s (load average %.1f on %d cores)" % (text, os.getloadavg()[0], os.cpu_count()), flush=True)

    def row(self, name, text, value=None, limit=None):
        verdict = ""
        if limit is not None:
            good = value <= limit
            verdict = "  limit %g: %s" % (limit, "ok" if good else "MISSED")
            if not good:
                self.missed.append(name)
        print("  %-44s %s%s" % (name, text, verdict), flush=True)


def fresh_directory(path):
    """An empty directory in place of what an earlier run of these scripts left there."""
    path = os.path.abspath(path)
    if os.path.exists(path):
        if not os.path.exists(os.path.join(path, MARK)):
            sys.exit("%s is there and was not made by these scripts" % path)
        shutil.rmtree(path)
    os.makedirs(path)
    open(os.path.join(path, MARK), "w").close()
    return path


def target_directory():
    return os.path.abspath(os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"))


def binary_of(given):
    """The binary that was named, or the release build of this tree."""
    if given:
        return os.path.abspath(given)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    return os.path.join(target_directory(), "release", "pontoon")
