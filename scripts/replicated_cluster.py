"""Primaries and replicas for the scripts beside this file: formed, written to, struck, and waited for until all is whole again. Standard library only.

Not a program. scripts/failover, scripts/partition and scripts/clients import it; what they measure is theirs.
"""

import binascii
import collections
import os
import re
import signal
import sys
import threading
import time

import local_cluster as local
from local_cluster import Failure, NodeError

# How long a writer waits for an answer before it asks somebody else.
PATIENCE = 0.25
WHOLE_SECONDS = 60
PADDING = "x" * 100

# What happens to how many primaries, and where the Raft leader is then: one of those struck, struck beside them, not struck, or wherever it happens to be.
Kind = collections.namedtuple("Kind", "text way leader primaries", defaults=("spared", 1))
KINDS = {
    "kill": Kind("kill -9 of a primary", "KILL"),
    "kill-leader": Kind("kill -9 of a primary that leads", "KILL", "victim"),
    "kill-both": Kind("kill -9 of leader and primary", "KILL", "beside"),
    "kill-half": Kind("kill -9 of half of the primaries", "KILL", "any", 2),
    "restart": Kind("kill -9, started again at once", "RESTART", "any"),
    "term": Kind("SIGTERM of a primary", "TERM"),
    "term-leader": Kind("SIGTERM of a primary that leads", "TERM", "victim"),
    "shutdown": Kind("SHUTDOWN of a primary", "SHUTDOWN", "any"),
    "manual": Kind("CLUSTER FAILOVER", "FAILOVER", "any"),
    "force": Kind("CLUSTER FAILOVER FORCE", "FORCE", "any"),
    "stop": Kind("SIGSTOP of a primary", "STOP", "any"),
}
# With these nothing that was acknowledged may be lost, waited for or not.
GRACEFUL = {"TERM", "SHUTDOWN", "FAILOVER"}


def kinds_for(redis):
    """Redis has no leader, and a majority of its primaries must live."""
    return [name for name, kind in KINDS.items() if not redis or (kind.primaries == 1 and kind.leader in ("any", "spared"))]


Line = collections.namedtuple("Line", "id flags primary epoch slots")
Shard = collections.namedtuple("Shard", "primary replicas epoch")


def lines_of(nodes_text):
    """CLUSTER NODES."""
    fields = [line.split() for line in nodes_text.splitlines()]
    return [Line(f[0], set(f[2].split(",")), f[3], int(f[6]), " ".join(s for s in f[8:] if not s.startswith("["))) for f in fields]


def slot_of(tag):
    return binascii.crc_hqx(tag.encode(), 0) % local.SLOTS


def keys_of(shard, shards, count):
    """Keys of so many slots spread over the shard's share of them, one of each."""
    found = {}
    first, last = local.SLOTS * shard // shards, local.SLOTS * (shard + 1) // shards
    step = max(1, (last - first) // count)
    tag = 0
    while len(found) < count:
        slot = slot_of("k%d" % tag)
        if first <= slot < last and (slot - first) % step == 0:
            found.setdefault(slot, "k%d" % tag)
        tag += 1
    return list(found.values())


class Cluster:
    """Six nodes unless told otherwise, one replica to each primary. Shards are counted in the order of their slots, which stay theirs."""

    def __init__(self, data, binary, port, primaries=3, config=(), redis=False, hosts=None):
        self.redis = redis
        self.primaries = primaries
        config = [*config, *(["cluster-enabled yes", 'save ""', "repl-diskless-sync-delay 0", "protected-mode no"] if redis else [])]
        hosts = hosts or [local.HOST] * 2 * primaries
        self.nodes = [local.Node(port + i, data, binary, config, host) for i, host in enumerate(hosts)]
        # Those that a writer need not try, and of these those that are only stopped.
        self.down, self.stopped = set(), set()
        # A SHUTDOWN waits on its connection.
        self.open = []

    def form(self):
        for number, node in enumerate(self.nodes):
            if self.redis:
                node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        local.meet(self.nodes)
        owners = self.nodes[:self.primaries]
        local.share_slots(owners)
        for primary, replica in zip(owners, self.nodes[self.primaries:]):
            local.until(30, "node %d is a replica" % replica.port, lambda: replica.ask("CLUSTER", "REPLICATE", primary.id) == "OK", 0.1)
        if not self.redis:
            local.voting(self.nodes, 5)
        self.whole()

    def start(self):
        for node in self.nodes:
            node.start_until_up()

    def begin(self):
        """Starts and forms it; if that fails, no node is left behind."""
        try:
            self.start()
            self.form()
        except BaseException:
            self.end()
            raise

    def end(self):
        for node in self.nodes:
            node.kill()

    def node_at(self, port):
        return next(node for node in self.nodes if node.port == port)

    def living(self):
        return next(node for node in self.nodes if node not in self.down)

    def shards(self):
        """As a node that is up sees them."""
        lines = lines_of(self.living().ask("CLUSTER", "NODES"))
        by_id = {node.id: node for node in self.nodes}
        owners = sorted((line for line in lines if line.slots), key=lambda line: int(re.match(r"\d+", line.slots)[0]))
        return [Shard(by_id[owner.id], [by_id[line.id] for line in lines if line.primary == owner.id], owner.epoch) for owner in owners]

    def whole(self, seconds=WHOLE_SECONDS):
        """Waits until every node is up, agrees with the others and has nobody failed, and every replica is in step with its primary."""
        problem = ["nothing answered"]

        def is_whole():
            problem[0] = self.problem()
            return problem[0] is None

        try:
            local.until(seconds, "the cluster is whole", is_whole, 0.05)
        except Failure as failure:
            raise Failure("%s: %s" % (failure, problem[0])) from None

    def problem(self):
        """What is not whole, if anything."""
        seen = set()
        for node in self.nodes:
            lines = lines_of(node.ask("CLUSTER", "NODES"))
            info, stream = node.info(), node.info("replication")
            odd = sorted({flag for line in lines for flag in line.flags} & {"fail", "fail?", "handshake", "noaddr"})
            if odd or len(lines) != len(self.nodes) or info["cluster_state"] != "ok":
                return "node %d sees %d nodes, flags %s, state %s" % (node.port, len(lines), odd, info["cluster_state"])
            myself = next(line for line in lines if "myself" in line.flags)
            if stream["role"] == "slave" and stream["master_link_status"] != "up":
                return "node %d has no link to its primary" % node.port
            if (stream["role"] == "slave") != (myself.primary != "-"):
                return "node %d is %s in INFO and something else in CLUSTER NODES" % (node.port, stream["role"])
            online = sum("state=online" in value for value in stream.values())
            if stream["role"] == "master" and not 1 <= online == sum(line.primary == node.id for line in lines):
                return "node %d has %d replicas online" % (node.port, online)
            raft = [info.get("cluster_raft_" + name) for name in ("leader", "last_applied", "last_index", "state_hash")]
            seen.add(str((sorted((line.id, line.primary, line.slots) for line in lines), raft)))
            if raft[0] == "-" or len(seen) > 1:
                return "they do not agree, or have no leader: %s" % " | ".join(sorted(seen))
        return None

    def lead(self, node):
        """Hands the Raft leadership to this one."""
        local.until(20, "node %d leads" % node.port, lambda: node.role() == "leader" or node.ask("CLUSTER", "RAFT", "TRANSFER") == "OK", 0.1)
        self.whole()

    def arrange(self, kind, random):
        """Puts the leadership where this kind wants it; who is to be struck, the primaries first."""
        shards = self.shards()
        random.shuffle(shards)
        victims = [shard.primary for shard in shards[:kind.primaries]]
        if kind.leader == "any" or self.redis:
            return victims
        roles = {node: node.role() for node in self.nodes}
        voters = [node for node in self.nodes if roles[node] != "learner"]
        random.shuffle(voters)
        if kind.leader == "victim":
            victims = [shard.primary for shard in shards if shard.primary in voters][:1]
            self.lead(victims[0])
        elif kind.leader == "spared" and roles[victims[0]] == "leader":
            self.lead(next(node for node in voters if node not in victims))
        elif kind.leader == "beside":
            leader = next(node for node in voters if node is not victims[0] and node not in shards[0].replicas)
            self.lead(leader)
            victims.append(leader)
        return victims

    def strike(self, way, victims):
        """Does it, to all at once; the moment before."""
        replicas = {shard.primary: shard.replicas[0] for shard in self.shards() if way in ("FAILOVER", "FORCE")}
        told = [replicas.get(node, node) for node in victims]
        words = {"SHUTDOWN": ["SHUTDOWN"], "FAILOVER": ["CLUSTER", "FAILOVER"], "FORCE": ["CLUSTER", "FAILOVER", "FORCE"]}.get(way)
        connections = [local.Connection(node.port, 20, node.host) for node in told if words]
        if way not in ("FAILOVER", "FORCE"):
            self.down.update(victims)
        began = time.monotonic()
        for connection in connections:
            connection.socket.sendall(local.request(*words))
        for node in victims if not words else []:
            os.kill(node.pid, {"TERM": signal.SIGTERM, "STOP": signal.SIGSTOP}.get(way, signal.SIGKILL))
        for node in victims:
            if way == "STOP":
                self.stopped.add(node)
            elif way == "RESTART":
                node.process.wait(20)
                node.start_until_up()
                self.down.discard(node)
        if way == "SHUTDOWN":
            self.open = connections
            return began
        for connection in connections:
            connection.reply()
            connection.close()
        return began

    def revive(self):
        """Whoever was struck runs again; then the cluster is whole."""
        for node in sorted(self.down, key=lambda node: node.port):
            if node in self.stopped:
                os.kill(node.pid, signal.SIGCONT)
            else:
                node.process.wait(20)
                node.start_until_up()
        for connection in self.open:
            connection.close()
        self.open = []
        self.down.clear()
        self.stopped.clear()
        self.whole()


class Writer(threading.Thread):
    """Writes one shard's keys in turn, a request at a time, as fast as it goes or with a pause, and finds the shard's primary by itself. Values count up."""

    def __init__(self, cluster, shard, keys=100, wait_every=0, pause=0.0):
        super().__init__(daemon=True)
        self.cluster = cluster
        tags = keys_of(shard, cluster.primaries, 100)
        self.keys = ["{%s}%d" % (tags[i % len(tags)], i) for i in range(keys)]
        self.target = cluster.shards()[shard].primary
        self.wait_every, self.pause_seconds = wait_every, pause
        self.connections = {}
        self.number = self.misses = 0
        # When and by which node each write was acknowledged.
        self.acks = []
        # By key: the last value acknowledged, and the last one that a replica acknowledged too.
        self.acked, self.sure = {}, {}
        # Acknowledged on the connection in use, not yet waited for.
        self.pending = {}
        self.go, self.idle = threading.Event(), threading.Event()
        self.go.set()
        self.ended = False

    def run(self):
        while not self.ended:
            if not self.go.is_set():
                self.idle.set()
                self.go.wait()
            self.write()

    def fill(self):
        """A first value of each key, which a replica has too."""
        connection = local.Connection(self.target.port, 10, self.target.host)
        for begin in range(0, len(self.keys), 1000):
            connection.calls([("SET", key, "0 " + PADDING) for key in self.keys[begin:begin + 1000]])
        if connection.call("WAIT", 1, 9000) < 1:
            raise Failure("no replica of node %d acknowledges its data" % self.target.port)
        connection.close()
        self.acked, self.sure = dict.fromkeys(self.keys, 0), dict.fromkeys(self.keys, 0)

    def pause(self):
        self.idle.clear()
        self.go.clear()
        if not self.idle.wait(20):
            raise Failure("a writer hangs")

    def write(self):
        self.number += 1
        key, target = self.keys[self.number % len(self.keys)], self.target
        try:
            connection = self.connections.get(target)
            if connection is None:
                connection = self.connections[target] = local.Connection(target.port, PATIENCE, target.host)
            connection.call("SET", key, "%d %s" % (self.number, PADDING))
            self.acks.append((time.monotonic(), target))
            self.misses = 0
            self.acked[key] = self.pending[key] = self.number
            if self.wait_every and self.number % self.wait_every == 0 and connection.call("WAIT", 1, int(PATIENCE * 800)) > 0:
                self.sure.update(self.pending)
                self.pending = {}
            time.sleep(self.pause_seconds)
        except NodeError as error:
            moved = re.match(r"MOVED \d+ .*:(\d+)$", str(error))
            self.turn_to(self.cluster.node_at(int(moved[1])) if moved else None)
        except OSError:
            connection = self.connections.pop(target, None)
            if connection is not None:
                connection.close()
            self.turn_to(None)

    def turn_to(self, node):
        """There, unless it is known to be down: then to the next in turn."""
        self.pending = {}
        self.misses += 1
        nodes = self.cluster.nodes
        down = set(self.cluster.down)
        if node is None or node in down:
            after = nodes.index(self.target) + 1
            node = next((node for node in nodes[after:] + nodes[:after] if node not in down), self.target)
        self.target = node
        # Two redirections are the way to a successor; more of them are a search.
        if self.misses > 2:
            time.sleep(0.001)

    def answered(self, since, victim, seconds):
        """When the first write after that moment was acknowledged, by another node than the victim."""
        looked = 0

        def found():
            nonlocal looked
            acks = self.acks
            for at, node in acks[looked:]:
                looked += 1
                if at > since and node is not victim:
                    return at
            return None

        return local.until(seconds, "a write is acknowledged by another node than %s" % (victim and victim.port), found, 0.01)

    def longest_gap(self, since):
        """Between two acknowledgements, from the last one before that moment on."""
        times = [at for at, _ in self.acks]
        before = max((at for at in times if at <= since), default=since)
        times = [before] + [at for at in times if at > since]
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)


def writers_of(cluster, **options):
    # Python hands its lock on every 5 ms by itself: too long for what is measured here.
    sys.setswitchinterval(0.0005)
    writers = [Writer(cluster, shard, **options) for shard in range(cluster.primaries)]
    for writer in writers:
        writer.fill()
        writer.start()
    return writers
