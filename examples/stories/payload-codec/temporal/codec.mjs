// SPDX-License-Identifier: Apache-2.0
// The codec as Temporal calls it: with what it has made a payload of each argument and of each result.
import { decode, encode } from '../codec.mjs';

const ENCRYPTED = 'binary/encrypted';

export const payloadCodec = {
  encode: (payloads) => Promise.all(payloads.map(encrypt)),
  decode: async (payloads) => payloads.map(decrypt),
};

async function encrypt({ metadata, data }) {
  const { key, iv, tag, data: encrypted } = await encode(JSON.stringify([mapped(metadata, toText), toText(data)]));
  return { metadata: { encoding: Buffer.from(ENCRYPTED), key: Buffer.from(String(key)), iv, tag }, data: encrypted };
}

function decrypt(payload) {
  const { encoding, key, iv, tag } = payload.metadata;
  if (Buffer.from(encoding).toString() !== ENCRYPTED) return payload;
  const text = decode({ key: Number(Buffer.from(key)), iv, tag, data: payload.data });
  const [metadata, data] = JSON.parse(text);
  return { metadata: mapped(metadata, toBytes), data: toBytes(data) };
}

const mapped = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
const toText = (bytes) => Buffer.from(bytes ?? []).toString('base64');
const toBytes = (text) => Buffer.from(text, 'base64');
