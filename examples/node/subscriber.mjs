// A subscriber: keeps itself registered, checks that what comes is from the bus, and handles each event once.
//
//     node subscriber.mjs PORT [TOPIC]...
//
// EVENTBUS_URL is the bus (http://localhost:3000), EVENTBUS_TOKEN a token where it wants one, ADDRESS the host and port
// by which the bus reaches this program (localhost:PORT). With GROUP it is one of several replicas, each with an address
// of its own: an event goes to one of them. EVENTBUS_SIGNING_SECRETS are the bus's: without them nothing is checked, and
// whoever reaches the port can make up events.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const [port, ...topics] = process.argv.slice(2);
const bus = process.env.EVENTBUS_URL ?? 'http://localhost:3000';
const token = process.env.EVENTBUS_TOKEN;
const address = process.env.ADDRESS ?? `localhost:${port}`;
const group = process.env.GROUP;
const secrets = (process.env.EVENTBUS_SIGNING_SECRETS ?? '').split(',').filter((text) => text.trim()).map(secretOf);

const WINDOW = 300; // seconds that a delivery's time may be off: an old one that was caught on its way is refused
const REMEMBERED = 100_000; // ids of events that were handled
const LARGEST = 16 * 1024 * 1024; // bytes of a body
const FINISH = 10_000; // ms in which what is in flight at the end is answered; in a group twice, at most
const POLL = 100; // ms between two questions whether that is so

/** Thrown for an event that can never be handled: trying again would not help, so it becomes a dead letter at once. */
class Reject extends Error {}

/** What your service does with an event. Anything but a Reject that it throws makes the bus try again later. */
async function handle({ body }) {
  try {
    JSON.parse(body);
  } catch {
    throw new Reject('the body is not JSON');
  }
  writeSync(1, `${body}\n`); // unlike console.log it throws where it fails
}

/** A secret's bytes. A wrong one stops the start: by an empty key anybody could sign. */
function secretOf(text) {
  const [, coded = ''] = text.trim().match(/^whsec_([\w+/]{32,}=*)$/) ?? [];
  if (!coded) throw new Error('EVENTBUS_SIGNING_SECRETS: each is whsec_ and the Base64 of 24 bytes or more');
  return Buffer.from(coded, 'base64');
}

/** Standard Webhooks, v1: one that is known here, of the bus's secrets, is enough. */
function isSigned(headers, body) {
  if (secrets.length === 0) return true;
  const { 'webhook-id': id, 'webhook-timestamp': time = '', 'webhook-signature': signatures = '' } = headers;
  if (!/^\d{1,15}$/.test(time) || Math.abs(Date.now() / 1000 - Number(time)) > WINDOW) return false;
  const given = signatures.split(' ').map((text) => Buffer.from(text));
  return secrets.some((secret) => {
    const hmac = createHmac('sha256', secret).update(`${id}.${time}.`, 'latin1').update(body);
    const wanted = Buffer.from(`v1,${hmac.digest('base64')}`);
    return given.some((signature) => signature.length === wanted.length && timingSafeEqual(signature, wanted));
  });
}

const seen = new Map(); // id -> what becomes of the event; the oldest stands first

/** The bus delivers at least once. This makes it once until a restart: to be sure for longer keep ids in a database. */
function once(id, work) {
  if (!seen.has(id)) {
    const outcome = work();
    seen.set(id, outcome);
    outcome.catch(() => seen.delete(id)); // it may come again, and is handled then
    if (seen.size > REMEMBERED) seen.delete(seen.keys().next().value);
  }
  return seen.get(id); // of one that is being handled at this moment too
}

/** A request's body; null where it is too large, which is read to its end, so that the answer is heard. */
async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= LARGEST) chunks.push(chunk);
  }
  return size <= LARGEST ? Buffer.concat(chunks) : null;
}

/** The status for a request: 2xx is delivered, 5xx is tried again later, other 4xx become dead letters. */
async function statusFor(request) {
  const body = await bodyOf(request);
  if (request.url !== '/event') return 404;
  if (request.method === 'OPTIONS') return 204; // the bus asks whether it may deliver: EVENTBUS_VERIFY=handshake
  if (request.method !== 'POST') return 405;
  if (body === null) return 413;
  if (!isSigned(request.headers, body)) return 401; // over the bytes as they came, before anything reads them
  const { 'webhook-id': id, 'eventbus-topic': topic } = request.headers;
  if (!id) return 400;
  if (stopping.signal.aborted && !seen.has(id)) return 503; // it comes again, when this program is back
  try {
    await once(id, () => handle({ id, topic, body }));
    return 204;
  } catch (error) {
    console.error(`event ${id}: ${error.message}`);
    return error instanceof Reject ? 422 : 500;
  }
}

const stopping = new AbortController();
const server = createServer(async (request, response) => {
  try {
    const status = await statusFor(request);
    const connection = stopping.signal.aborted ? 'close' : 'keep-alive';
    response.writeHead(status, { Connection: connection, 'WebHook-Allowed-Origin': '*' }).end();
  } catch {
    request.destroy(); // it broke before the body was there, and the bus will come again
  }
});
server.keepAliveTimeout = 75_000; // ms that an idle connection is kept: the bus uses it again

async function call(method, path, query) {
  const headers = { Accept: 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
  const options = { method, headers, signal: AbortSignal.timeout(10_000) };
  const response = await fetch(`${bus}${path}?${new URLSearchParams(query)}`, options);
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text);
}

/** Registers or renews. */
function register(more = []) {
  // With resume the bus keeps, for as long as its journal does, what is published while this program is away.
  const query = [['address', address], ['resume', 'true'], ...topics.map((topic) => ['topic', topic]), ...more];
  return call('POST', '/registerAndKeepAlive', group ? [['group', group], ...query] : query);
}

/** Registers and renews, at a third of the lease. Where the bus has forgotten this subscriber, that registers it. */
async function keepRegistered() {
  for (let failures = 0; !ending.signal.aborted; ) {
    let wait;
    try {
      const { renew_after: seconds } = await register();
      failures = 0;
      wait = seconds * (0.8 + 0.2 * Math.random()); // so that a hundred services do not all come at once
    } catch (error) {
      console.error(`not registered: ${error.cause?.message ?? error.message}`);
      wait = Math.min(10, 0.5 * 2 ** failures++) * Math.random();
    }
    await sleep(wait * 1000, null, { signal: ending.signal }).catch(() => {}); // cut short by the end
  }
}

/** Leaves the group: nothing new comes, what is in flight is answered meanwhile, and the others go on. */
async function leave() {
  const ends = Date.now() + FINISH;
  try {
    while ((await register([['drain', 'true']])).in_flight > 0 && Date.now() < ends) await sleep(POLL);
    await call('DELETE', '/deregister', [['address', address]]);
  } catch (error) {
    console.error(`not deregistered, so that the lease has to end: ${error.cause?.message ?? error.message}`);
  }
}

// At the end: renew no more, answer what is in flight, and take nothing new. Nothing is discarded, and the bus delivers
// what comes meanwhile to the rest of the group, or when this program is back. One that is in no group and never comes
// back calls DELETE /deregister?address=ADDRESS.
const ending = new AbortController();
let renewing;
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    ending.abort();
    if (group) await renewing.then(leave); // a renewal after it would end the drain
    stopping.abort();
    server.close();
    server.closeIdleConnections();
    setTimeout(() => process.exit(), FINISH).unref(); // what is not answered by then is delivered again
  });
}
server.listen(Number(port), () => {
  renewing = keepRegistered(); // only now: an event may come before the registration is answered
});
