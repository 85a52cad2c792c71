// The part of scripts/clients that runs ioredis and node-redis: node clients_node.js ioredis|node-redis PORT,PORT... KEY,KEY...
// A lap is a SET and a GET of each key. Prints "<seconds since 1970> lap", or what went wrong.
const [name, ports, keys] = [process.argv[2], process.argv[3].split(','), process.argv[4].split(',')];
const host = '127.0.0.1';
const say = (text) => console.log(`${(Date.now() / 1000).toFixed(3)} ${String(text).split('\n')[0]}`);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function ioredis() {
  const { Cluster } = require('ioredis');
  // A command that times out does not make it look for changes.
  const options = { slotsRefreshInterval: 2000, redisOptions: { commandTimeout: 1000 } };
  const client = new Cluster(ports.map((port) => ({ host, port })), options);
  client.on('error', () => {});
  return client;
}

async function nodeRedis() {
  const { createCluster } = require('redis');
  const rootNodes = ports.map((port) => ({ url: `redis://${host}:${port}` }));
  // Without a timeout it waits for a stopped node for ever; with one, and the reconnect strategy that it comes with, it closes for good.
  const socket = { socketTimeout: 1000, reconnectStrategy: (retries) => Math.min(50 * retries, 500) };
  const client = createCluster({ rootNodes, defaults: { socket } });
  client.on('error', () => {});
  await client.connect();
  return client;
}

// An application does not wait for ever, whatever its client does.
function within(ms, promise) {
  promise.catch(() => {});
  return Promise.race([promise, sleep(ms).then(() => Promise.reject(new Error('no answer')))]);
}

async function main() {
  const client = await { ioredis, 'node-redis': nodeRedis }[name]();
  for (let n = 0; ; n++) {
    try {
      for (const key of keys) {
        await within(2000, client.set(key, String(n)));
        await within(2000, client.get(key));
      }
      say('lap');
    } catch (error) {
      say(`error ${error}`);
    }
    await sleep(10);
  }
}

main();
