// Sends requests that stream over one HTTP/2 connection with Node's own client, and counts how they ended: main.go has
// what the arguments mean and what is printed.
import { connect } from 'node:http2';

const [url, mode, ...numbers] = process.argv.slice(2);
const [streams, pieces, size] = numbers.map(Number);
const { pathname, search } = new URL(url);

// As gRPC frames a message: not compressed, its length, itself.
const message = Buffer.alloc(5 + size);
message.writeUInt32BE(size, 1);
for (let i = 0; i < size; i++) message[5 + i] = 97 + (i % 26);

const pause = () => new Promise((resolve) => setImmediate(resolve));

function begin(session) {
  const stream = session.request(
    { ':method': 'POST', ':path': pathname + search, 'content-type': 'application/grpc', te: 'trailers' },
    { waitForTrailers: true },
  );
  const heard = { status: 0, bytes: 0, trailers: {} };
  stream.on('wantTrailers', () => stream.sendTrailers({ messages: String(pieces) }));
  stream.on('response', (headers) => (heard.status = headers[':status']));
  stream.on('trailers', (headers) => (heard.trailers = headers));
  const whole = new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('close', () => {
      const { status, bytes, trailers } = heard;
      if (status === 200 && bytes === pieces * message.length && trailers.messages === String(pieces)) resolve();
      else reject(new Error(`status ${status}, ${bytes} bytes, trailers say ${trailers.messages} messages`));
    });
  });
  // An end is looked at only when the pieces are sent.
  whole.catch(() => {});
  // A piece comes back as it was, wherever the pieces are cut.
  stream.on('data', (data) => {
    for (const byte of data) {
      if (byte !== message[heard.bytes % message.length]) stream.destroy(new Error('bytes came back as others'));
      heard.bytes++;
    }
  });
  return { stream, heard, whole };
}

async function upload(session) {
  const { stream, whole } = begin(session);
  for (let sent = 0; sent < pieces && !stream.destroyed; sent++) {
    stream.write(message);
    // Written together they would go out as one frame.
    await pause();
  }
  stream.end();
  await whole;
}

async function talk(session) {
  const { stream, heard, whole } = begin(session);
  let sent = 0;
  const next = () => (sent++ < pieces ? stream.write(message) : stream.end());
  stream.on('data', () => {
    if (heard.bytes === sent * message.length) next();
  });
  next();
  await whole;
}

const session = connect(url);
session.on('error', () => {});
const run = { uploads: upload, talks: talk }[mode];
const ends = await Promise.allSettled(Array.from({ length: streams }, () => run(session)));
const failures = {};
for (const { reason } of ends.filter((end) => end.status === 'rejected')) {
  failures[reason.message] = (failures[reason.message] ?? 0) + 1;
}
const ok = ends.filter((end) => end.status === 'fulfilled').length;
console.log(JSON.stringify({ ok, failures }));
session.destroy();
