// A receiver of the Event Platform's deliveries as one writes it with Express and BullMQ: it verifies the signature, puts
// the event into a queue in Redis, and answers once Redis has it. Ingest is measured by it.
//
// Its modules are found by NODE_PATH. REDIS_URL says where the queue is, SECRET what deliveries are signed with. It prints
// where it listens.
const { createHmac, timingSafeEqual } = require('node:crypto');
const express = require('express');
const { Queue } = require('bullmq');

const redis = new URL(process.env.REDIS_URL);
const queue = new Queue('events', { connection: { host: redis.hostname, port: Number(redis.port) } });

const isSigned = request => {
  const signature = Buffer.from(request.get('X-AKENEO-SIGNATURE-PRIMARY') ?? '', 'hex');
  const expected = createHmac('sha256', process.env.SECRET).update(request.body).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
};

const app = express();
app.disable('x-powered-by');
app.post('/webhooks/akeneo/event-platform', express.raw({ type: () => true, limit: '4mb' }), async (request, response) => {
  if (!isSigned(request)) {
    return response.status(401).end();
  }
  const event = JSON.parse(request.body);
  await queue.add(event.type, event, { jobId: event.id });
  response.status(200).end();
});
app.use((error, request, response, next) => response.status(500).end(String(error)));

const server = app.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
