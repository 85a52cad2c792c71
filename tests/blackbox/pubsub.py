"""redis-py listens on a running cluster: python pubsub.py PORT PROTOCOL. Exit code 0 if all is as it should be."""

import sys
import time

import redis
from redis.cluster import RedisCluster


def messages(listener, count, sharded=False):
    """The next so many messages, without confirmations."""
    found, deadline = [], time.monotonic() + 40
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} messages: {found}"
        get = listener.get_sharded_message if sharded else listener.get_message
        message = get(timeout=0.1)
        if message and message["type"].endswith("message"):
            found.append((message["type"], message["channel"], message["data"]))
    return sorted(found)


def main(port, protocol):
    client = RedisCluster(host="127.0.0.1", port=port, protocol=protocol, decode_responses=True)
    nodes = [redis.Redis(port=node.port, protocol=protocol, decode_responses=True) for node in client.get_primaries()]

    # A channel and a pattern on every node; a message from every node.
    listeners = [node.pubsub() for node in nodes]
    for listener in listeners:
        listener.subscribe("news")
        listener.psubscribe("n*")
    for at, (listener, node) in enumerate(zip(listeners, nodes)):
        while node.pubsub_numsub("news") != [("news", 1)] or node.pubsub_numpat() != 1:
            time.sleep(0.01)
    for at, node in enumerate(nodes):
        assert node.publish("news", f"from {at}") == 2
    expected = [(kind, "news", f"from {at}") for kind in ("message", "pmessage") for at in range(len(nodes))]
    for listener in listeners:
        assert messages(listener, len(expected)) == expected
        listener.unsubscribe()
        listener.punsubscribe()

    # Shard channels: the client finds the node by the slot.
    sharded = client.pubsub()
    channels = [f"channel-{number}" for number in range(8)]
    for channel in channels:
        sharded.ssubscribe(channel)
    while sum(len(node.pubsub_shardchannels()) for node in nodes) < len(channels):
        sharded.get_sharded_message(timeout=0.01)
    for channel in channels:
        assert client.spublish(channel, "hello") == 1
    assert messages(sharded, len(channels), sharded=True) == [("smessage", channel, "hello") for channel in channels]
    sharded.close()

    # Keyspace notifications, from the node that has the key.
    for node in nodes:
        assert node.config_set("notify-keyspace-events", "KEA")
    owner = client.get_node_from_key("key")
    owner = next(node for node in nodes if node.connection_pool.connection_kwargs["port"] == owner.port)
    listener = owner.pubsub()
    listener.psubscribe("__keyspace@0__:key")
    while owner.pubsub_numpat() != 1:
        time.sleep(0.01)
    client.set("key", "value", px=20)
    told = [event for _, _, event in messages(listener, 3)]
    assert sorted(told) == ["expire", "expired", "set"], told
    for node in nodes:
        assert node.config_set("notify-keyspace-events", "")
    print("all good")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
