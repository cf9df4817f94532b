// A publisher: each line of standard input is an event. Prints the id of each one when the bus has it on disk.
//
//     node publisher.mjs TOPIC < LINES
//
// EVENTBUS_URL is the bus (http://localhost:3000), EVENTBUS_TOKEN a token where it wants one.

import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const bus = process.env.EVENTBUS_URL ?? 'http://localhost:3000';
const token = process.env.EVENTBUS_TOKEN;

const TIMEOUT = 10_000; // ms for one try
const MAX_ELAPSED = 60_000; // ms for one event in all: longer than a restart of the bus takes
const FIRST_WAIT = 100; // ms between two tries at most, at first; doubles up to
const LONGEST_WAIT = 5_000;

/** One try: the event's id; or why there is none, whether another try may help, and after how many ms. */
async function attempt(topic, body, key) {
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json', 'Idempotency-Key': key };
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT) };
  try {
    const response = await fetch(`${bus}/sendMessage?${new URLSearchParams({ topic })}`, options);
    const text = await response.text();
    if (response.ok) return { id: JSON.parse(text).id };
    const again = response.status >= 500 || response.status === 408 || response.status === 429;
    return { why: `${response.status} ${text}`, again, after: Number(response.headers.get('retry-after')) * 1000 || 0 };
  } catch (error) {
    return { why: error.cause?.message ?? error.message, again: true, after: 0 }; // the bus is away, or was just now
  }
}

/**
 * Publishes an event, and returns its id when it is safe.
 *
 * Where an answer is lost nobody knows whether the event was kept. So each try has the same key: the bus keeps the
 * event once, and answers a repetition with the id that it has.
 */
async function publish(topic, body) {
  const key = randomUUID();
  const ends = Date.now() + MAX_ELAPSED;
  for (let longest = FIRST_WAIT; ; longest = Math.min(LONGEST_WAIT, longest * 2)) {
    const { id, why, again, after } = await attempt(topic, body, key);
    if (id) return id;
    const wait = after + longest * Math.random(); // so that all who wait do not come back at once
    if (!again || Date.now() + wait > ends) throw new Error(why);
    await sleep(wait);
  }
}

const [topic] = process.argv.slice(2);
if (!topic) {
  console.error('Usage: publisher.mjs TOPIC < LINES');
  process.exit(2);
}
try {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    console.log(await publish(topic, line));
  }
} catch (error) {
  console.error(`not published, nor is any line after it: ${error.message}`);
  process.exit(1);
}
