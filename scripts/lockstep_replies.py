"""Replies as scripts/lockstep reads and compares them: all of a reply's types are kept, and whatever may differ is declared here, with its reason.

Not a program. Standard library only.
"""

import socket
from collections import namedtuple

# Seconds in which a reply has come.
PATIENCE = 20
CLOSED, SILENT = (b"closed", None), (b"silent", None)
COMPARED_OPTIONS = {b"hash-max-listpack-entries", b"hash-max-listpack-value", b"notify-keyspace-events", b"proto-max-bulk-len", b"timeout"}
COMPARED_LINES = b"db0:", b"cmdstat_", b"errorstat_", b"keyspace_", b"expired_keys"
HAVE_HELP = "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "FUNCTION", "MEMORY", "OBJECT", "PUBSUB"
AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2}


class Peer:
    """One connection to one server."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def send(self, bytes_):
        try:
            self.socket.sendall(bytes_)
        except OSError:
            pass  # What has become of the connection shows where it is read.

    def frame(self):
        """One reply or push: its type's sign, and its value; of a null the value is none."""
        try:
            return self.parsed()
        except TimeoutError:
            return SILENT
        except (OSError, EOFError):
            return CLOSED

    def parsed(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        sign, rest = line[:1], line[1:-2]
        if sign in (b"$", b"=", b"!"):
            if rest == b"-1":
                return sign, None
            body = self.reader.read(int(rest) + 2)
            if not body.endswith(b"\r\n") or len(body) != int(rest) + 2:
                raise EOFError
            return sign, body[:-2]
        if sign in AGGREGATES:
            return sign, None if rest == b"-1" else [self.parsed() for _ in range(int(rest) * AGGREGATES[sign])]
        if sign == b":":
            return sign, int(rest)
        if sign in (b"+", b"-", b"_", b"#", b",", b"("):
            return sign, rest
        raise EOFError

    def close(self):
        self.reader.close()
        self.socket.close()


def multi_bulk(words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def quoted(word):
    """Within double quotes, as an inline request and the report of a difference have it."""
    if word and all(0x20 < byte < 0x7F and byte not in b"\"'\\" for byte in word):
        return word
    return b'"%s"' % b"".join(b"%c" % byte if 0x20 <= byte < 0x7F and byte not in b'"\\' else b"\\x%02x" % byte for byte in word)


def inline(words):
    return b" ".join(map(quoted, words)) + b"\r\n"


def shown(frame):
    """A reply in one line."""
    sign, value = frame
    if value is None:
        return "%s(null)" % sign.decode()
    if isinstance(value, list):
        return "%s[%s]" % (sign.decode(), ", ".join(map(shown, value)))
    if isinstance(value, int):
        return ":%d" % value
    text = quoted(value).decode() if sign in (b"$", b"=") else value.decode("latin-1")
    return sign.decode() + (text if len(text) <= 500 else text[:500] + "... (%d bytes)" % len(value))


def is_error(frame):
    return frame[0] == b"-"


def error_of(frame):
    return frame[1] if is_error(frame) else b""


# What cannot be equal: each function makes of a reply that is no error what must be.


def settled(frames, soon):
    """Messages of one publishing by way of several patterns, which have no order, in one. If keys end soon, who finds it out when is each server's own
    matter, and so is when it says that."""
    out = []
    for frame in frames:
        if soon and is_of_expiry(frame):
            continue
        at = len(out)
        while is_by_pattern(frame) and at and is_by_pattern(out[at - 1]) and out[at - 1][1][2:] == frame[1][2:] and out[at - 1] > frame:
            at -= 1
        out.insert(at, frame)
    return out


def is_by_pattern(frame):
    return isinstance(frame[1], list) and len(frame[1]) == 4 and frame[1][0][1] == b"pmessage"


def is_of_expiry(frame):
    is_message = isinstance(frame[1], list) and len(frame[1]) >= 3 and frame[1][0][1] in (b"message", b"pmessage")
    return is_message and (frame[1][-1][1] == b"expired" or frame[1][-2][1] == b"__keyevent@0__:expired")


def kind(_words, frame):
    """Only its type."""
    sign, value = frame
    return sign, value is None


def unordered(_words, frame):
    sign, value = frame
    return (sign, sorted(value, key=repr)) if isinstance(value, list) else frame


def unordered_pairs(_words, frame):
    sign, value = frame
    return (sign, sorted(zip(value[::2], value[1::2]))) if isinstance(value, list) else frame


def walked(words, frame):
    """What a walk has found: all of it, if its COUNT is large enough for one step, else only that it is a walk."""
    sign, value = frame
    if sign != b"*" or len(value) != 2:
        return frame
    pairs = words[0].upper() == b"HSCAN" and b"NOVALUES" not in [word.upper() for word in words]
    whole = b"2000" in words and words[1 if words[0].upper() == b"SCAN" else 2] == b"0"
    return sign, (value[0], (unordered_pairs if pairs else unordered)(words, value[1])) if whole else "some"


def words_unordered(words, frame):
    """All lists of words within it, which are sets, in one order."""
    sign, value = frame
    if not isinstance(value, list):
        return frame
    parts = [words_unordered(words, part) for part in value]
    return sign, sorted(parts) if all(part[0] == b"+" for part in parts) else parts


def described(words, frame):
    return words_unordered(words, frame) if len(words) > 2 else kind(words, frame)


def greeting(_words, frame):
    sign, value = frame
    pairs = {key: told for (_, key), told in zip(value[::2], value[1::2])} if isinstance(value, list) else {}
    return sign, [(key, kind((), told) if key in (b"id", b"server", b"version") else told) for key, told in pairs.items()]


def info(words, frame):
    """Of some sections the lines that count commands and keys."""
    sign, text = frame
    kept = [line for line in (text or b"").split(b"\r\n") if line.startswith(COMPARED_LINES)]
    if len(words) != 2 or words[1].lower() not in (b"keyspace", b"errorstats", b"commandstats", b"stats"):
        return kind(words, frame)
    # Times are measured, or not; avg_ttl is an estimate.
    fields = [b",".join(field for field in line.split(b",") if b"usec" not in field and b"ttl" not in field) for line in kept]
    return sign, sorted(fields)


def listed(words, frame):
    return unordered(words, frame) if len(words) > 3 else kind(words, frame)


def options(words, frame):
    """Of the options those that mean the same to both."""
    sign, value = frame
    pairs = unordered_pairs(words, frame)[1]
    return sign, [pair for pair in pairs if pair[0][1] in COMPARED_OPTIONS] if isinstance(value, list) else value


def first_line(_words, frame):
    sign, value = frame
    return sign, value[:1] if isinstance(value, list) else value


class Near:
    """A number that is a reading of a clock, or a time to live."""

    def __init__(self, tolerance):
        self.tolerance = tolerance

    def __call__(self, _words, ours, theirs):
        return ours[0] == theirs[0] == b":" and abs(ours[1] - theirs[1]) <= self.tolerance and min(ours[1], theirs[1]) >= 0


class By:
    """Whether what a function makes of both is the same."""

    def __init__(self, canonical):
        self.canonical = canonical

    def __call__(self, words, ours, theirs):
        return not is_error(ours) and not is_error(theirs) and self.canonical(words, ours) == self.canonical(words, theirs)


# Commands whose replies cannot be equal, by their names: what must be the same of them, and why not more.
Rule = namedtuple("Rule", "names same reason")
RULES = [
    Rule(["TIME", "LASTSAVE", "ROLE", "CLUSTER MYID", "CLUSTER INFO"], By(kind), "ids, times, addresses and offsets"),
    Rule(["CLIENT ID", "CLIENT INFO", "CLIENT LIST"], By(kind), "the same"),
    Rule(["MEMORY USAGE", "OBJECT IDLETIME"], By(kind), "each server's own memory, and when it reads its clock"),
    Rule(["TTL", "EXPIRETIME"], Near(2), "the commands before came some ms apart"),
    Rule(["PTTL", "PEXPIRETIME"], Near(2000), "the same"),
    Rule(["RANDOMKEY"], By(kind), "random"),
    Rule(["KEYS", "HKEYS", "HVALS", "CLUSTER GETKEYSINSLOT"], By(unordered), "tables have no order"),
    Rule(["PUBSUB CHANNELS", "PUBSUB SHARDCHANNELS"], By(unordered), "tables have no order"),
    Rule(["HGETALL"], By(unordered_pairs), "tables have no order"),
    Rule(["CONFIG GET"], By(options), "tables have no order, and other options have values of their own"),
    Rule(["SCAN", "HSCAN"], By(walked), "tables have no order, and where a step of a walk ends is each server's own matter"),
    Rule(["INFO"], By(info), "each server's own; only what counts commands and keys is compared"),
    Rule(["HELLO"], By(greeting), "ids, name and version"),
    Rule(["COMMAND", "COMMAND COUNT"], By(kind), "Pontoon has fewer commands"),
    Rule(["COMMAND LIST"], By(listed), "Pontoon has fewer commands, and tables have no order"),
    Rule(["COMMAND INFO"], By(described), "sets have no order, and Pontoon has fewer commands"),
]
RULES += [Rule(["%s HELP" % name], By(first_line), "Pontoon has fewer subcommands") for name in HAVE_HELP]
RULE_OF = {name.encode(): rule for rule in RULES for name in rule.names}


def kept_otherwise(words, ours, theirs):
    is_asked = [word.upper() for word in words[:2]] == [b"OBJECT", b"ENCODING"]
    return is_asked and ours[1] in (b"int", b"embstr") and theirs[1] in (b"embstr", b"raw")


def name_with_nul(words, ours, _theirs):
    is_name = words[0].upper() in (b"CLIENT", b"HELLO") and any(b"\0" in word for word in words)
    return is_name and b"cannot contain spaces" in error_of(ours)


def option_with_nul(words, ours, theirs):
    is_set = [word.upper() for word in words[:2]] == [b"CONFIG", b"SET"] and any(b"\0" in word for word in words)
    return is_set and error_of(ours).startswith(b"ERR CONFIG SET failed") and not is_error(theirs)


# What looks at keys without asking for their time: they count until a server finds that it is over.
COUNTED = {b"DBSIZE", b"INFO", b"CLUSTER", b"MEMORY"}


# Differences on purpose. Their titles stand in the table of docs/operations.md, "Differences from Valkey", with the reason; the function says of words and
# the two replies whether they are one. `parts`: keys, options or clients are not alike afterwards.
Known = namedtuple("Known", "title is_it parts")
KNOWN = [
    Known("`OBJECT ENCODING` of strings", kept_otherwise, False),
    Known("names of clients and libraries with a NUL byte", name_with_nul, True),
    Known("`CONFIG SET` of a value with a NUL byte", option_with_nul, True),
]


def rule_of(words):
    return RULE_OF.get(b" ".join(words[:2]).upper()) or RULE_OF.get(words[0].upper())


def same(words, ours, theirs, soon):
    """Whether both have answered the same, as far as it can be."""
    if ours == theirs or soon and words[0].upper() in COUNTED and not is_error(ours) and not is_error(theirs):
        return True
    rule = rule_of(words)
    return rule is not None and rule.same(words, ours, theirs)


def same_unsubscribed(words, ours, theirs):
    """Whether both have ended the same subscriptions, which have no order where they are not named, and counted them down alike."""

    def told(frames):
        return sorted(repr(frame[1][:2]) for frame in frames), [frame[1][2] for frame in frames]

    return len(words) == 1 and all(frame[0] in (b"*", b">") and len(frame[1]) == 3 for frame in ours + theirs) and told(ours) == told(theirs)


def compared(words, frame):
    """A reply as it was compared, if it is not by its bytes."""
    rule = rule_of(words)
    if rule is None or not isinstance(rule.same, By) or is_error(frame):
        return shown(frame)
    canonical = rule.same.canonical(words, frame)
    try:
        return shown(canonical)
    except (TypeError, ValueError, AttributeError):
        return repr(canonical)


def known(words, ours, theirs):
    """Which declared difference this is, if it is one."""
    return next((row for row in KNOWN if row.is_it(words, ours, theirs)), None)
