"""redis-py's cluster client against a running cluster: python redis_py.py PORT PROTOCOL. Exit code 0 if all is as it should be."""

import sys

from redis.cluster import RedisCluster
from redis.crc import key_slot

SLOTS = 16384


def a_key_for_each_slot():
    """One short key for every slot, by trying names."""
    keys = {}
    number = 0
    while len(keys) < SLOTS:
        key = f"key:{number}"
        keys.setdefault(key_slot(key.encode()), key)
        number += 1
    return keys


def main(port, protocol):
    client = RedisCluster(host="127.0.0.1", port=port, protocol=protocol, decode_responses=True)
    keys = a_key_for_each_slot()

    # One command at a time over slots of every node, then every slot by pipelines.
    for slot in range(0, SLOTS, 64):
        assert client.set(keys[slot], f"{protocol}-{slot}")
        assert client.get(keys[slot]) == f"{protocol}-{slot}"
    slots = sorted(keys)
    for start in range(0, SLOTS, 4096):
        part = slots[start : start + 4096]
        with client.pipeline() as pipe:
            for slot in part:
                pipe.set(keys[slot], f"{protocol}-{slot}")
            for slot in part:
                pipe.get(keys[slot])
            replies = pipe.execute()
        assert replies[: len(part)] == [True] * len(part)
        assert replies[len(part) :] == [f"{protocol}-{slot}" for slot in part]

    # A transaction on one hash tag, on its node, with and without a watched key that changes.
    node = client.get_node_from_key("{tag}counter")
    direct = client.get_redis_connection(node)
    with direct.pipeline(transaction=True) as pipe:
        pipe.set("{tag}counter", 40).incrby("{tag}counter", 2).get("{tag}counter")
        assert pipe.execute() == [True, 42, "42"]
    with direct.pipeline(transaction=True) as pipe:
        pipe.watch("{tag}counter")
        client.set("{tag}counter", 1)
        pipe.multi()
        pipe.incr("{tag}counter")
        try:
            pipe.execute()
        except Exception as error:
            assert type(error).__name__ == "WatchError", repr(error)
        else:
            raise AssertionError("a watched key changed, and EXEC went through")
    with client.pipeline(transaction=True) as pipe:
        pipe.set("{tag}counter", 7)
        pipe.incr("{tag}counter")
        assert pipe.execute() in (["OK", 8], [True, 8])  # versions differ in who translates OK
    assert client.delete("{tag}counter") == 1

    # Commands that the client splits by slot.
    assert client.mset_nonatomic({keys[slot]: f"m{slot}" for slot in range(0, SLOTS, 1024)})
    got = client.mget_nonatomic([keys[slot] for slot in range(0, SLOTS, 1024)])
    assert got == [f"m{slot}" for slot in range(0, SLOTS, 1024)]
    assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) == SLOTS
    print("all good")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
