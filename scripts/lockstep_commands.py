"""The commands that scripts/lockstep makes up: a table of shapes, of makers of arguments. A new type adds a family of rows, and perhaps a maker.

Not a program. What a run asks follows from its seed alone, never from a reply. Standard library only.
"""

import random
from collections import namedtuple

# A command as it is asked: by which connection, its words, and in which form. BULK and INLINE are those of the protocol; of RAW the only word is what is
# sent, and a PING follows.
Command = namedtuple("Command", "at words form")
BULK, INLINE, RAW = "", "inline", "raw"

CONNECTIONS = 3
# The one that changes its protocol; the first speaks RESP2, the second RESP3.
SWITCHING = 2

TAGS = ["{a}"] * 14 + ["{b}"] * 4 + [""] * 2
STRINGS, HASHES = ["s1", "s2", "s3", "s4"], ["h1", "h2", "h3"]
ODD_KEYS = [b"", b"{a}", b"{a}\x00", b"{a}\xff\xfe", b"{a} s", b"{}x", b"{a}" + b"k" * 300]
CHANNELS = [b"{a}c1", b"{a}c2", b"{b}c", b"caf\xe9", b""]
FIELDS = [b"f%d" % number for number in range(1, 9)] + [b"", b"\xff\x00", b"12"]
# Whole numbers at the ends of what is one, and what is none. None between 60 and 600 million is in it: a SETRANGE there would take as much memory.
NUMBERS = [b"0", b"-1", b"1", b"-0", b"+1", b"01", b"1.5", b"1e3", b"0x10", b" 1", b"1 ", b"1\x00"]
NUMBERS += [b"", b" ", b"nan", b"inf", b"abc", b"--1", b"\xff"]
NUMBERS += [b"%d" % (sign * 2**power + more) for power in (15, 31, 32, 63, 64) for sign in (1, -1) for more in (-1, 0, 1)]
FLOATS = [b"0.1", b"-1.5", b"3", b"1e2", b"3.0e0", b"0x1p3", b"1e308", b"-1e4932", b"1e5000", b"inf", b"-inf", b"nan", b".5", b"5."]
FLOATS += [b"123456789012345678901234567890"]
JUNK = NUMBERS + [b"x" * 200, b"caf\xe9", b"a\r\nb", b"NX", b"XX", b"GET", b"EX", b"PERSIST", b"MATCH", b"COUNT", b"*", b"ON", b"\x00"]
VALUES = [b"", b"v", b"12", b"-7", b"0", b"9223372036854775807", b"3.5", b"a b", b"\x00\x01\xff", b"x" * 44, b"y" * 45, b"z" * 127, b"w" * 128, b"u" * 1000]
LONG_VALUE = b"long" * 17_500
# Ids of clients that are not there, or none.
NOBODY = [b"999999999", b"0", b"-1", b"x"]
PATTERNS = [b"*", b"**", b"?", b"*1", b"{a}*", b"[sh]*", b"{a}s[1-2]", b"[^s]*", b"\\*", b"[", b"", b"*\xff*"]
# Those that have no subcommands.
COMMANDS = """append asking auth bgsave client|getname client|id client|info client|kill client|list client|no-evict client|no-touch client|pause
client|reply client|setinfo client|setname client|unpause cluster|countkeysinslot cluster|getkeysinslot cluster|info cluster|keyslot cluster|myid
cluster|nodes cluster|shards cluster|slots command|count command|docs command|getkeys command|getkeysandflags command|info command|list config|get
config|resetstat config|rewrite config|set dbsize decr decrby del discard echo exec exists expire expireat expiretime failover flushall flushdb
function|dump function|list function|restore get getdel getex getrange getset hdel hello hexists hget hgetall hincrby hkeys hlen hmget hmset hscan
hset hsetnx hstrlen hvals incr incrby incrbyfloat info keys lastsave memory|usage mget mset msetnx multi object|encoding object|freq object|idletime
object|refcount persist pexpire pexpireat pexpiretime ping psetex psubscribe psync pttl publish pubsub|channels pubsub|numpat pubsub|numsub
pubsub|shardchannels pubsub|shardnumsub punsubscribe quit randomkey readonly readwrite replconf replicaof reset role save scan select set setex setnx
setrange shutdown slaveof spublish ssubscribe strlen subscribe substr sunsubscribe sync time touch ttl type unlink unsubscribe unwatch wait watch""".split()
# Never A with n for notify-keyspace-events: Valkey shows it without the n, and so loses that when the next CONFIG SET fails.
OPTIONS = [b"hash-max-listpack-entries", b"hash-max-listpack-value", b"notify-keyspace-events", b"proto-max-bulk-len", b"timeout", b"nope", b"maxclients"]
# The words before a time from now, and how many of its units are a second.
FROM_NOW = {b"EX": 1, b"PX": 1000}
TIMED = {b"EXPIRE": 1, b"PEXPIRE": 1000, b"SETEX": 1, b"PSETEX": 1000}
# Milliseconds that are over before the next command, if one has said them (lockstep waits for it), and the share of rounds in which some do.
SOON, ROUNDS_WITH_SOON = [b"1", b"2", b"3"], 0.2
# The share of rounds in which a connection is told of all that happens to keys.
ROUNDS_WITH_EVENTS = 0.3
# What is no command: broken lengths, quotes and lines.
BROKEN = [b"*-1\r\n", b"*0\r\n", b"\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n", b"*x\r\n", b"*2\r\n$4\r\nECHO\r\n+a\r\n", b"*1\r\n$0\r\n\r\n", b"* 1\r\n"]
BROKEN += [b"*1\r\n$600000000\r\n", b"*2147483648\r\n", b"*-2147483648\r\n", b'PING "a\r\n', b"PING 'a'b\r\n", b'ECHO "\\x41\\n"\r\n', b"ECHO 'a\\'b'\r\n"]
BROKEN += [b"ECHO a\n", b"  ECHO\t a \r\n", b"POST / HTTP/1.1\r\n", b"Host: x\r\n", b"*1\r\n$4\nPING\r\n"]


class Dice:
    """All that is left to chance."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tag = TAGS[0]
        self.times = 0
        # The times from now that were given out, with their units: no two are near each other, so that it makes no difference when a server reads its clock.
        self.issued = set()
        self.soon = self.chance(ROUNDS_WITH_SOON)

    def chance(self, share):
        return self.random.random() < share

    def one(self, choices):
        return choices[int(self.random.random() * len(choices))]

    def word(self, text):
        """A command's or an option's own word, in any case."""
        if self.chance(0.9):
            return text.encode()
        return text.lower().encode() if self.chance(0.7) else text.swapcase().title().encode()


def made(dice, part):
    """The words that a part of a shape makes: text is a word in any case, bytes are themselves, all else makes words."""
    if isinstance(part, str):
        return [dice.word(part)]
    if isinstance(part, bytes):
        return [part]
    made_ = part(dice)
    return made_ if isinstance(made_, list) else [made_]


# Makers: each takes the dice, and gives a word or a list of words.


def seq(*parts):
    return lambda dice: [word for part in parts for word in made(dice, part)]


def one_of(*parts):
    return lambda dice: made(dice, dice.one(parts))


def maybe(part, share=0.5):
    return lambda dice: made(dice, part) if dice.chance(share) else []


def many(part, least=1, most=4):
    return lambda dice: [word for _ in range(dice.random.randint(least, most)) for word in made(dice, part)]


def options(*parts):
    """Some of them in any order, one now and then twice."""

    def make(dice):
        count = dice.one([0, 0, 1, 1, 1, 2, 2, 3])
        return [word for _ in range(count) for word in made(dice, dice.one(parts))]

    return make


def among(choices):
    return lambda dice: dice.one(choices)


def key_of(usual, other):
    """A key that mostly holds the type of the command, all keys of one command mostly in one slot."""

    def make(dice):
        roll = dice.random.random()
        if roll < 0.05:
            return dice.one(ODD_KEYS)
        tag = dice.tag if roll < 0.97 else dice.one(TAGS)
        return (tag + dice.one(usual if dice.chance(0.88) else other)).encode()

    return make


def number(dice):
    return dice.one(NUMBERS) if dice.chance(0.2) else b"%d" % dice.random.randint(-20, 20)


def place(dice):
    """Of a byte within a string."""
    return dice.one(NUMBERS) if dice.chance(0.15) else b"%d" % dice.random.randint(-60, 200)


def value(dice):
    roll = dice.random.random()
    if roll < 0.3:
        return b"%d" % dice.random.randint(-1000, 1000)
    return LONG_VALUE if roll > 0.98 else dice.one(VALUES)


def from_now(scale):
    """A time from now that is far away, and from all others; or one that is none."""

    def make(dice):
        if dice.chance(0.2):
            return dice.one(NUMBERS)
        if scale == 1000 and dice.soon and dice.chance(0.3):
            word = dice.one(SOON)
        else:
            dice.times += 1
            word = b"%d" % ((100_000 + 1_000 * dice.times) * scale)
        dice.issued.add((scale, word))
        return word

    return make


def at(scale):
    """A point in time that is long past, or will come in the next century."""

    def make(dice):
        if dice.chance(0.2):
            return dice.one(NUMBERS)
        if dice.chance(0.2):
            return b"%d" % (dice.random.randint(1, 1000) * scale)
        return b"%d" % ((4_102_444_800 + dice.random.randint(0, 20) * 1000) * scale)

    return make


string, hash_ = key_of(STRINGS, HASHES), key_of(HASHES, STRINGS)
key = one_of(string, hash_)
field, channel, float_ = among(FIELDS), among(CHANNELS), among(FLOATS)
life = one_of(seq("EX", from_now(1)), seq("PX", from_now(1000)), seq("EXAT", at(1)), seq("PXAT", at(1000)))
switch = one_of("RESET", "HELLO", seq("HELLO", b"2"), seq("HELLO", b"3"), seq("HELLO", b"3", "AUTH", b"default", b"x", "SETNAME", b"n"))
conditions = options("NX", "XX", "GT", "LT", among(JUNK))
# COUNT reaches over all keys: where a walk stops in between is each server's own matter.
walk = options(seq("MATCH", among(PATTERNS)), seq("COUNT", b"2000"), seq("COUNT", one_of(b"0", b"-1", b"x", b"9223372036854775808")))
known_command = lambda dice: dice.word(dice.one(COMMANDS))  # noqa: E731
any_command = lambda dice: Maker.words_of(dice, dice.one(FAMILIES[dice.one(sorted(FAMILIES))]))  # noqa: E731


# One shape of a command: how often it is asked beside others of its family, its parts, and whether it is asked only as it stands here.
Shape = namedtuple("Shape", "weight parts tame")


def shape(weight, *parts, tame=False):
    return Shape(weight, parts, tame)


FAMILIES = {
    "string": [
        shape(8, "SET", string, value, options("NX", "XX", "GET", "KEEPTTL", life)),
        shape(6, "GET", string),
        shape(2, "GETEX", string, options("PERSIST", life)),
        shape(2, "GETSET", string, value),
        shape(2, "GETDEL", string),
        shape(2, "SETNX", string, value),
        shape(1, "SETEX", string, from_now(1), value),
        shape(1, "PSETEX", string, from_now(1000), value),
        shape(2, "MGET", many(key)),
        shape(2, "MSET", many(seq(key, value), 1, 3)),
        shape(1, "MSETNX", many(seq(key, value), 1, 3)),
        shape(3, "APPEND", string, value),
        shape(2, "SETRANGE", string, place, value),
        shape(3, one_of("GETRANGE", "SUBSTR"), string, place, place),
        shape(2, "STRLEN", string),
        shape(3, one_of("INCR", "DECR"), string),
        shape(2, one_of("INCRBY", "DECRBY"), string, number),
        shape(3, "INCRBYFLOAT", string, one_of(float_, number)),
    ],
    "hash": [
        shape(4, one_of("HSET", "HMSET"), hash_, many(seq(field, value), 1, 5)),
        shape(1, "HSET", hash_, lambda dice: [word for n in range(dice.random.randint(10, 60)) for word in (b"n%d" % n, b"%d" % n)]),
        shape(1, "HSETNX", hash_, field, value),
        shape(3, "HGET", hash_, field),
        shape(2, "HMGET", hash_, many(field)),
        shape(2, "HDEL", hash_, many(field)),
        shape(1, "HDEL", hash_, *FIELDS),
        shape(1, one_of("HEXISTS", "HSTRLEN"), hash_, field),
        shape(1, "HLEN", hash_),
        shape(2, one_of("HGETALL", "HKEYS", "HVALS"), hash_),
        shape(2, "HINCRBY", hash_, field, number),
        shape(2, "HSCAN", hash_, one_of(b"0", b"0", b"0", number), walk, maybe("NOVALUES", 0.2)),
    ],
    "generic": [
        shape(4, one_of("DEL", "UNLINK"), many(key, 1, 3)),
        shape(2, one_of("EXISTS", "TOUCH"), many(key)),
        shape(2, "TYPE", key),
        shape(3, "EXPIRE", key, from_now(1), maybe(conditions)),
        shape(2, "PEXPIRE", key, from_now(1000), maybe(conditions)),
        shape(3, "EXPIREAT", key, at(1), maybe(conditions)),
        shape(2, "PEXPIREAT", key, at(1000), maybe(conditions)),
        shape(3, one_of("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), key),
        shape(2, "PERSIST", key),
        shape(2, "KEYS", among(PATTERNS)),
        shape(2, "SCAN", one_of(b"0", b"0", b"0", number), walk, maybe(seq("TYPE", one_of("string", "hash", "zset", "nope", b"caf\xe9")), 0.2)),
        shape(1, "RANDOMKEY"),
        shape(1, "DBSIZE"),
        shape(3, "OBJECT", one_of("ENCODING", "ENCODING", "ENCODING", "REFCOUNT", "IDLETIME", "FREQ"), key),
        shape(1, "MEMORY", "USAGE", key, maybe(seq("SAMPLES", number), 0.3)),
        shape(1, one_of("FLUSHALL", "FLUSHDB"), maybe(one_of("SYNC", "ASYNC", "NOW"), 0.4)),
    ],
    "transactions": [
        shape(3, "MULTI"),
        shape(2, "EXEC"),
        shape(1, "DISCARD"),
        shape(4, "WATCH", many(key, 1, 2)),
        shape(1, "UNWATCH"),
    ],
    "connection": [
        shape(3, "PING", maybe(value)),
        shape(2, "ECHO", value),
        shape(1, "SELECT", number),
        shape(1, "CLIENT", "SETNAME", one_of(b"me", b"", b"a b", b"caf\xe9", b"n\x00")),
        shape(1, "CLIENT", one_of("GETNAME", "ID", "INFO", "LIST", "UNPAUSE", "HELP", "NOPE", among(JUNK))),
        shape(1, "CLIENT", "LIST", one_of("TYPE", "ID", "NOPE"), maybe(one_of("normal", "master", "replica", "pubsub", among(JUNK)))),
        shape(1, "CLIENT", one_of("NO-EVICT", "NO-TOUCH"), one_of("ON", "OFF", "MAYBE")),
        shape(1, "CLIENT", "SETINFO", one_of("LIB-NAME", "LIB-VER", "LIB"), one_of(b"lib", b"1.2", b"", b"a b")),
        shape(1, "CLIENT", "KILL", one_of(b"1.1.1.1:1", seq("ADDR", b"1.1.1.1:1"), seq("TYPE", "NOPE"), seq("MAXAGE", b"999999")), tame=True),
        shape(1, "CLIENT", "KILL", options(seq("USER", b"nobody"), seq("SKIPME", "MAYBE"), seq("LADDR", b"x"), seq("ID", among(NOBODY)), "ID"), tame=True),
        shape(1, "CLIENT", "REPLY", one_of("ON", "NOPE", b""), tame=True),
        shape(1, "CLIENT", "PAUSE", one_of(b"0", b"1", b"-1", b"x", b"1.5"), maybe(one_of("ALL", "WRITE", "SOME")), tame=True),
        shape(1, one_of("READONLY", "READWRITE", "ASKING")),
        shape(1, "AUTH", one_of(b"x", seq(b"default", b"x"), seq(b"nobody", b"x"), seq(b"default", b""))),
        shape(1, "HELLO", one_of(b"1", b"4", b"x", seq(b"3", "AUTH"), seq(b"2", "NOPE"), seq(b"2", "SETNAME", b"a b")), tame=True),
        shape(1, "HELLO", b"3", "AUTH", b"nobody", b"x", tame=True),
    ],
    "server": [
        shape(2, "CONFIG", "GET", many(among(OPTIONS), 1, 2)),
        shape(1, "CONFIG", "SET", b"hash-max-listpack-entries", one_of(b"512", b"4", b"0", number)),
        shape(1, "CONFIG", "SET", b"hash-max-listpack-value", one_of(b"64", b"5", b"0", number)),
        shape(2, "CONFIG", "SET", b"notify-keyspace-events", one_of(b"", b"KEA", b"KEAm", b"Kg$", b"Ehx", b"KExnm", b"KEg$hnm", b"q", b"Kq", b"KEA ")),
        shape(1, "CONFIG", "SET", one_of(b"nope", b"caf\xe9", b"n\x00", b""), one_of(b"1", b"")),
        shape(1, "CONFIG", "SET", b"timeout", one_of(b"0", b"-1", b"x", b"1e2"), b"hash-max-listpack-value", one_of(b"64", b"32", b"-1", b"x"), tame=True),
        shape(1, "CONFIG", one_of("RESETSTAT", "HELP", "NOPE", "SET", "GET")),
        shape(2, "COMMAND", "INFO", many(one_of(known_command, known_command, "NOPE", "NO|PE", "CONFIG|NOPE", among(JUNK)), 1, 3)),
        shape(2, "COMMAND", one_of("GETKEYS", "GETKEYSANDFLAGS"), any_command),
        shape(1, "COMMAND", one_of("COUNT", "HELP", "NOPE", "LIST", "INFO"), maybe(among(JUNK), 0.2)),
        shape(1, "COMMAND", "LIST", "FILTERBY", one_of("MODULE", "PATTERN", "ACLCAT", "NOPE"), one_of(b"hset*", b"NOPE", b"getex", b"config|se*")),
        shape(1, "COMMAND", "DOCS", one_of(b"nope", b"no|pe")),
        shape(1, "INFO", one_of("keyspace", "errorstats", "commandstats", "stats", "server", "nope", "everything", "all")),
        shape(1, one_of("TIME", "LASTSAVE", "ROLE", "MEMORY", "CONFIG", "CLIENT", "OBJECT", "PUBSUB", "CLUSTER", "FUNCTION")),
        shape(1, one_of("OBJECT", "PUBSUB", "MEMORY", "FUNCTION", "CLUSTER"), one_of("HELP", "NOPE", among(JUNK))),
        shape(1, "BGSAVE", one_of("NOPE", seq("SCHEDULE", "x")), tame=True),
        shape(1, "SHUTDOWN", one_of("NOPE", "ABORT", seq("SAVE", "NOSAVE"), seq("NOW", "NOPE")), tame=True),
        shape(1, "WAIT", one_of(b"0", b"1", b"x", b"-1"), one_of(b"1", b"x", b"-1"), tame=True),
        shape(1, one_of("REPLICAOF", "SLAVEOF"), one_of(seq("NO", "ONE"), seq(b"127.0.0.1", b"1"))),
        # Nothing else: a line break goes from the argument of LIST into Valkey's reply, whatever follows it.
        shape(1, "FUNCTION", "LIST", one_of(b"", "WITHCODE", seq("LIBRARYNAME", b"x"), "LIBRARYNAME", "NOPE", b"caf\xe9"), tame=True),
        shape(1, "FUNCTION", "LIST", tame=True),
        shape(1, "FUNCTION", "RESTORE", b"x"),
        shape(1, "CLUSTER", one_of(seq("KEYSLOT", key), seq("COUNTKEYSINSLOT", number), seq("GETKEYSINSLOT", number, number), "MYID", "INFO")),
        shape(1, "CLUSTER", one_of(seq("COUNTKEYSINSLOT", b"15495"), seq("GETKEYSINSLOT", b"15495", b"1000"))),
        shape(2, among([b"NOPE", b"nope", b"caf\xe9", b"", b"GE T", b"\x00", b"x" * 200]), many(value, 0, 3)),
    ],
    "pubsub": [
        shape(2, one_of("SUBSCRIBE", "UNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"), many(channel, 1, 2)),
        shape(2, one_of("PSUBSCRIBE", "PUNSUBSCRIBE"), many(one_of(among(PATTERNS), b"__key*"), 1, 2)),
        shape(3, one_of("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE")),
        shape(5, one_of("PUBLISH", "SPUBLISH"), channel, value),
        shape(2, "PUBSUB", one_of("CHANNELS", "SHARDCHANNELS"), maybe(among(PATTERNS))),
        shape(1, "PUBSUB", one_of("NUMSUB", "SHARDNUMSUB"), many(channel, 0, 3)),
        shape(1, "PUBSUB", "NUMPAT"),
    ],
}
# How often a family is asked.
SHARES = {"string": 30, "hash": 16, "generic": 24, "transactions": 5, "connection": 7, "server": 12, "pubsub": 6}
LISTENING = {b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"}


class Maker:
    """One round's commands."""

    def __init__(self, seed):
        self.dice = Dice(seed)
        self.in_multi = [False] * CONNECTIONS
        self.listens = [False] * CONNECTIONS
        self.tags = [TAGS[0]] * CONNECTIONS

    def commands(self, count):
        if self.dice.chance(ROUNDS_WITH_EVENTS):
            yield Command(0, (b"CONFIG", b"SET", b"notify-keyspace-events", self.dice.one([b"KEAm", b"Eg$hxnm"])), BULK)
            yield Command(1, (b"PSUBSCRIBE", b"__key*"), BULK)
            count -= 2
        for _ in range(count):
            at_ = self.dice.random.randrange(CONNECTIONS)
            words = self.words_for(at_)
            inline = self.dice.chance(0.04) and sum(map(len, words)) < 10_000
            if self.dice.chance(0.002) and not self.in_multi[at_] and not self.listens[at_]:
                yield Command(at_, (self.dice.one(BROKEN),), RAW)
            else:
                yield Command(at_, tuple(words), INLINE if inline else BULK)

    def words_for(self, at_):
        """What this connection asks next, by what it has asked before."""
        dice = self.dice
        if not self.in_multi[at_] or dice.chance(0.05):
            self.tags[at_] = dice.one(TAGS)
        dice.tag = self.tags[at_]
        roll = dice.random.random()
        if self.listens[at_] and roll < 0.25:
            words = made(dice, one_of("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "RESET" if at_ == SWITCHING else "UNSUBSCRIBE"))
        elif self.in_multi[at_] and roll < 0.15:
            words = made(dice, one_of("EXEC", "EXEC", "EXEC", "DISCARD"))
        elif at_ == SWITCHING and roll < 0.03:
            words = made(dice, switch)
        elif roll < 0.002:
            words = [b"QUIT"]
        else:
            family = dice.random.choices(list(SHARES), list(SHARES.values()))[0]
            words = self.spoilt(dice.random.choices(FAMILIES[family], [row.weight for row in FAMILIES[family]])[0])
        self.note(at_, words)
        return words

    @staticmethod
    def words_of(dice, row):
        return [word for part in row.parts for word in made(dice, part)]

    def spoilt(self, row):
        """A shape's words, now and then with something wrong."""
        good = self.words_of(self.dice, row)
        if row.tame or not self.dice.chance(0.15):
            return good if row.tame or not races(good, self.dice.issued) else self.spoilt(row)
        words = list(good)
        for _ in range(self.dice.one([1, 1, 2])):
            self.dice.one([self.drop, self.add, self.replace, self.replace, self.swap, self.repeat])(words)
        return self.spoilt(row) if races(words, self.dice.issued) else words

    def drop(self, words):
        if len(words) > 1:
            del words[self.dice.random.randrange(1, len(words))]

    def add(self, words):
        words.insert(self.dice.random.randint(1, len(words)), self.dice.one(JUNK))

    def replace(self, words):
        if len(words) > 1:
            words[self.dice.random.randrange(1, len(words))] = self.dice.one(JUNK)

    def swap(self, words):
        if len(words) > 2:
            one, other = self.dice.random.randrange(1, len(words)), self.dice.random.randrange(1, len(words))
            words[one], words[other] = words[other], words[one]

    def repeat(self, words):
        if len(words) > 1:
            words.insert(self.dice.random.randint(1, len(words)), words[self.dice.random.randrange(1, len(words))])

    def note(self, at_, words):
        name = words[0].upper()
        if name == b"MULTI":
            self.in_multi[at_] = True
        elif name in (b"EXEC", b"DISCARD", b"RESET", b"QUIT"):
            self.in_multi[at_] = False
        if name in LISTENING:
            self.listens[at_] = True
        elif name in (b"RESET", b"QUIT", b"UNSUBSCRIBE"):
            self.listens[at_] = False


def races(words, issued):
    """Whether what comes of it may depend on when a server reads its clock: a time from now that was not made to be one."""
    words = list(words)
    if words[0].upper() == b"COMMAND":
        return False
    return any(word.isdigit() and 0 < int(word) < 2**63 - 1 and (scale, word) not in issued for scale, word in times_from_now(words))


def times_from_now(words):
    """Their units, and the words themselves."""
    times = [(FROM_NOW[word.upper()], words[at_ + 1]) for at_, word in enumerate(words[:-1]) if word.upper() in FROM_NOW]
    return times + [(TIMED[words[0].upper()], words[2])] if words[0].upper() in TIMED and len(words) > 2 else times


def ends_soon(words):
    """Whether a key's time may be over before the next command."""
    return any(scale == 1000 and word in SOON for scale, word in times_from_now(words))
