// A subscriber that takes many events in one request, and says which of them failed.
//
//     node batches.mjs PORT
//
// Register it with batch: eventbus register localhost:PORT --batch 100. It is the least that does so: subscriber.mjs
// shows how to register, to check signatures and to handle each event once.

import { writeSync } from 'node:fs';
import { createServer } from 'node:http';

/** Thrown for an event that can never be handled: trying again would not help, so it becomes a dead letter at once. */
class Reject extends Error {}

/** What your service does with an event. Anything but a Reject that it throws makes the bus try again later. */
async function handle(event) {
  if (!('data' in event)) throw new Reject('this is no JSON');
  writeSync(1, `${JSON.stringify(event.data)}\n`);
}

/** The bus's id, to remove duplicates by, also of a CloudEvent that has one of its own. */
const idOf = (event) => event.eventbusid ?? event.id;

/** Handles events in order, and returns those that failed; the first one that may be handled later stops the rest. */
async function handleAll(events) {
  const failed = [];
  for (const [number, event] of events.entries()) {
    try {
      await handle(event);
    } catch (error) {
      if (!(error instanceof Reject)) return [...failed, ...events.slice(number).map((each) => ({ id: idOf(each) }))];
      failed.push({ id: idOf(event), reject: error.message });
    }
  }
  return failed;
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const failed = await handleAll(JSON.parse(Buffer.concat(chunks)));
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ failed }));
}).listen(Number(process.argv[2]));
