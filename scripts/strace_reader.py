"""What one node did, read from an strace of it: its bus frames, what of nodes.conf was on disk at each moment, and whether the one waited for the other.

Not a program. scripts/durability-trace imports it. It knows the file's text and the frames' text from docs/nodes-conf.md and docs/protocol.md §5, and
nothing of the code that makes them.
"""

import ast
import os
import re
import struct
import zlib

SYSCALLS = ("write,writev,pwrite64,?send,sendto,sendmsg,read,readv,recvfrom,recvmsg,fdatasync,fsync,?rename,?renameat,?renameat2,?unlink,?unlinkat,"
            "?open,openat,ftruncate,?epoll_wait,epoll_pwait,?poll,ppoll,exit_group")
WAITS = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll"}
SENDS = {"write", "writev", "pwrite64", "send", "sendto", "sendmsg"}
RECEIVES = {"read", "readv", "recvfrom", "recvmsg"}
RENAMES = {"rename", "renameat", "renameat2"}

LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (\w+)\((.*)\)\s+= (-?\d+|\?)(.*)$", re.S)
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?', re.S)
DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
FRAME_HEADER = 8


class Unreadable(Exception):
    """The trace does not say what is needed."""


class Call:
    """One finished system call."""

    def __init__(self, number, match):
        self.number = number
        self.time = float(match.group(2))
        self.name = match.group(3)
        self.arguments = match.group(4)
        self.result = None if match.group(5) == "?" else int(match.group(5))
        self.rest = match.group(6)
        self.injected = "(INJECTED)" in self.rest

    def target(self):
        """What the first argument's descriptor stands for: a path, or `socket:[inode]`."""
        match = DESCRIPTOR.match(self.arguments)
        return match.group(2) if match else ""

    def strings(self):
        found = []
        for text, cut in LITERAL.findall(self.arguments):
            if cut:
                raise Unreadable("line %d: strace cut a string short" % self.number)
            found.append(ast.literal_eval('b"%s"' % text))
        return found

    def data(self):
        """The bytes that the call moved."""
        return b"".join(self.strings())[: max(self.result or 0, 0)]

    def __str__(self):
        return "line %d, %.6f %s(%s" % (self.number, self.time, self.name, self.arguments[:60])


def calls_of(path):
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            if "resumed>" in line:
                raise Unreadable("line %d: more than one thread: %s" % (number, line[:80]))
            match = LINE.match(line.rstrip("\n"))
            if match:
                yield Call(number, match)


class Facts:
    """What a file says: term, vote, and the log, of which all up to `applied` is in the snapshot part."""

    def __init__(self, text):
        head, found, tail = text.partition(b"\ncrc ")
        if not found or len(tail) < 9 or int(tail[:8], 16) != zlib.crc32(head + b"\n"):
            raise Unreadable("no snapshot part with a good checksum")
        pairs = next(line for line in head.split(b"\n") if line.startswith(b"vars ")).decode().split()[1:]
        values = dict(zip(pairs[::2], pairs[1::2]))
        self.term, self.voted_for = int(values["currentTerm"]), values["votedFor"]
        self.applied = self.last = int(values["lastApplied"])
        self.entries = {}
        self.length = len(text)
        self.take(tail[9:])

    def take(self, lines):
        """Lines of the log tail; a bad one ends what the file says."""
        for line in lines.split(b"\n")[:-1]:
            kind, checksum, content = line.split(b" ", 2)
            if int(checksum, 16) != zlib.crc32(content):
                raise Unreadable("a log line with a bad checksum was written: %r" % line)
            if kind == b"log":
                index, entry = content.split(b" ", 1)
                self.last += 1
                if int(index) != self.last:
                    raise Unreadable("log line %s follows index %d" % (index.decode(), self.last - 1))
                self.entries[self.last] = entry.decode()

    def holds(self, index):
        return index <= self.last


class File:
    """A file since it was made: what was written, and how much of that was there when a sync returned 0."""

    def __init__(self):
        self.written = b""
        self.synced = 0
        self.facts = None

    def known(self):
        """What its synced bytes say."""
        if self.facts is None:
            self.facts = Facts(self.written[: self.synced])
        elif self.facts.length < self.synced:
            self.facts.take(self.written[self.facts.length : self.synced])
            self.facts.length = self.synced
        return self.facts


class Disk:
    """The names and bytes of one directory as a power cut would leave them. Before the process's first whole rewrite nothing counts."""

    def __init__(self, directory, file_name="nodes.conf"):
        self.directory = directory
        self.path = os.path.join(directory, file_name)
        self.names, self.durable_names = {}, {}
        # Durable operations since the last wait for events: appends with their sync, whole rewrites.
        self.in_turn = 0
        self.most_in_turn = 0
        self.appends = self.rewrites = self.most_entries = 0
        self.renamed = False
        self.complaints = []
        self.failed = None

    def ours(self, path):
        return path == self.path or path == self.path + ".tmp"

    def full(self, path):
        return os.path.normpath(os.path.join(self.directory, path))

    def facts(self):
        """What is certainly on disk now."""
        file = self.durable_names.get(self.path)
        return file.known() if file and file.synced else None

    def turn(self):
        self.in_turn = 0

    def take(self, call):
        """Looks at one call; true if it was an operation on nodes.conf or its directory."""
        name = call.name
        if name in ("openat", "open"):
            return self.open(call)
        if name in RENAMES:
            return self.rename(call)
        if name in ("unlink", "unlinkat"):
            path = self.full(call.strings()[0].decode())
            return self.ours(path) and call.result == 0 and self.names.pop(path, None) is not None
        target = call.target()
        if name in ("fdatasync", "fsync") and (self.ours(target) or target == self.directory):
            return self.failure(call) or self.sync(call, target)
        if name in SENDS and self.ours(target):
            return self.failure(call) or self.write(call, target)
        if name == "ftruncate" and self.ours(target):
            self.complaints.append("%s: nodes.conf is never cut" % call)
        return False

    def failure(self, call):
        if call.result is None or call.result >= 0:
            return False
        if self.failed is None:
            self.failed = call
        else:
            self.complaints.append("%s: after an error nothing is tried again" % call)
        return True

    def open(self, call):
        path = self.full(call.strings()[0].decode())
        if not self.ours(path) or call.result is None or call.result < 0:
            return False
        if "O_TRUNC" in call.arguments or "O_EXCL" in call.arguments:
            self.names[path] = File()
        return True

    def write(self, call, target):
        file = self.names.get(target)
        if file is None:
            self.complaints.append("%s: writes to a file that this process has not made" % call)
        else:
            file.written += call.data()
        return True

    def sync(self, call, target):
        if call.result is None:
            return True
        if target == self.directory:
            self.durable_names = dict(self.names)
            if self.renamed:
                self.operation()
                self.rewrites += 1
                self.renamed = False
            return True
        file = self.names.get(target)
        if file is None:
            self.complaints.append("%s: syncs a file that this process has not made" % call)
            return True
        new = file.written[file.synced :]
        file.synced = len(file.written)
        if target == self.path:
            self.operation()
            self.appends += 1
            self.most_entries = max(self.most_entries, new.count(b"\nlog ") + new.startswith(b"log "))
        return True

    def operation(self):
        self.in_turn += 1
        self.most_in_turn = max(self.most_in_turn, self.in_turn)

    def rename(self, call):
        source, target = (self.full(text.decode()) for text in call.strings()[:2])
        if target != self.path:
            return False
        if self.failure(call):
            return True
        file = self.names.pop(source, None)
        if file is None or file.synced != len(file.written) or not file.written:
            self.complaints.append("%s: a file takes the name before its bytes are synced" % call)
        if file is not None:
            self.names[target] = file
        self.renamed = True
        return True


class Stream:
    """One direction of one socket; a client's is told from a link of the bus by its first bytes."""

    def __init__(self):
        self.bytes = b""
        self.bus = None
        self.facts_at_begin = None

    def feed(self, data, facts):
        """The frames that end in `data`, each with what was on disk when its first byte moved."""
        if self.bus is None:
            self.bytes += data
            self.bus = None if len(self.bytes) < 4 and b"RAFT".startswith(self.bytes) else self.bytes.startswith(b"RAFT")
            data, self.bytes = self.bytes, b""
        if not self.bus:
            if self.bus is None:
                self.bytes = data
            return
        if not self.bytes:
            self.facts_at_begin = facts
        self.bytes += data
        while len(self.bytes) >= FRAME_HEADER:
            if self.bytes[:4] != b"RAFT":
                raise Unreadable("a frame does not begin with RAFT: %r" % self.bytes[:40])
            length = struct.unpack(">I", self.bytes[4:8])[0]
            if len(self.bytes) < length:
                break
            payload, self.bytes = self.bytes[FRAME_HEADER:length], self.bytes[length:]
            yield payload, self.facts_at_begin
            self.facts_at_begin = facts


class Snapshot:
    """The facts of one moment: a file's own go on growing."""

    def __init__(self, facts):
        self.term, self.voted_for, self.applied, self.last, self.entries = facts.term, facts.voted_for, facts.applied, facts.last, facts.entries


class Trace:
    """One process's life, checked while it is read. `problems` holds what must not be."""

    def __init__(self, path, directory):
        self.path = path
        self.disk = Disk(directory)
        self.streams = {}
        self.requests = {}
        self.expected = {}
        self.problems = []
        self.calls = self.turns = self.sent_frames = self.heartbeat_acks = 0
        self.acks = self.votes = self.vote_requests = 0
        self.acked = 0
        self.sent_after_failure = 0
        self.injected = None
        self.exit_code = None
        for call in calls_of(path):
            self.calls += 1
            self.take(call)
        self.problems += self.disk.complaints

    def take(self, call):
        if call.injected:
            self.injected = self.injected or call
        if call.name in WAITS:
            self.turns += 1
            if self.disk.in_turn > 1:
                self.problems.append("%s: %d durable operations in the turn before it" % (call, self.disk.in_turn))
            self.disk.turn()
        elif call.name == "exit_group":
            self.exit_code = int(call.arguments)
        elif not self.disk.take(call) and call.target().startswith("socket:"):
            self.traffic(call)

    def traffic(self, call):
        sent = call.name in SENDS
        if not sent and call.name not in RECEIVES or call.result is None or call.result <= 0:
            return
        if sent and self.disk.failed is not None:
            if self.sent_after_failure == 0:
                self.problems.append("%s: bytes leave after the failed %s" % (call, self.disk.failed))
            self.sent_after_failure += 1
        stream = self.streams.setdefault((call.target(), sent), Stream())
        facts = self.disk.facts() if sent else None
        for payload, at_begin in stream.feed(call.data(), facts and Snapshot(facts)):
            lines = payload.decode("latin-1").split("\n")
            words = lines[0].split()
            if words[0] == "AE":
                self.remember(words, lines[1:])
            if sent:
                self.sent_frames += 1
                self.judge(call, words, at_begin)
            elif words[0] == "VOTE_REQ":
                self.requests[call.target(), words[5]] = words[1]

    def remember(self, words, lines):
        """What a leader says the log is, this node itself included when it leads: the newest term's word counts."""
        term, prev = int(words[2]), int(words[3])
        for offset, line in enumerate(line for line in lines if line):
            index = prev + 1 + offset
            if term >= self.expected.get(index, (0,))[0]:
                self.expected[index] = (term, line)

    def judge(self, call, words, facts):
        """A frame leaves: is what it promises on disk?"""
        kind = words[0]
        if kind == "AE_ACK" and words[2] == "1":
            self.judge_ack(call, int(words[1]), int(words[3]), facts)
        elif kind == "VOTE" and words[2] == "1":
            self.votes += 1
            self.judge_vote(call, kind, int(words[1]), self.requests.get((call.target(), words[3])), facts)
        elif kind == "AE":
            self.judge_append(call, int(words[2]), int(words[3]) + int(words[7]), facts)
        elif kind == "VOTE_REQ":
            self.vote_requests += 1
            self.judge_vote(call, kind, int(words[2]), words[1], facts)

    def judge_append(self, call, term, last, facts):
        """A leader counts its own copy towards what it calls committed: it sends only what it has."""
        if facts is None or facts.last < last or facts.term < term:
            self.problems.append("%s: AE of term %d up to index %d leaves, on disk is %s" % (call, term, last, facts and (facts.term, facts.last)))

    def judge_ack(self, call, term, index, facts):
        if index > self.acked:
            self.acks += 1
        else:
            self.heartbeat_acks += 1
        first, self.acked = self.acked + 1, max(self.acked, index)
        if facts is None or facts.last < index:
            self.problems.append("%s: AE_ACK ok=1 for index %d leaves, on disk is %s" % (call, index, facts.last if facts else "nothing"))
        elif facts.term < term:
            self.problems.append("%s: AE_ACK of term %d leaves, on disk is term %d" % (call, term, facts.term))
        else:
            for at in range(max(first, facts.applied + 1), index + 1):
                said = self.expected.get(at, (0, facts.entries[at]))[1]
                if said != facts.entries[at]:
                    self.problems.append("%s: acks entry %d %r, on disk is %r" % (call, at, said, facts.entries[at]))

    def judge_vote(self, call, kind, term, candidate, facts):
        on_disk = (facts.term, facts.voted_for) if facts else None
        if on_disk != (term, candidate):
            self.problems.append("%s: %s of term %d for %s leaves, on disk is %s" % (call, kind, term, candidate, on_disk))
