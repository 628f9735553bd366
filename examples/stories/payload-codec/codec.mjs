// SPDX-License-Identifier: Apache-2.0
// Payloads are encrypted before they are queued, with a key that is good for ten of them; the next comes from a key service.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { inSpan } from './span.mjs';

const { fetchKey } = await import(`./keys/${process.env.CODEC}.mjs`);
const PAYLOADS_PER_KEY = 10;

const keys = [toKey('the first one')];
let encoded = 0;

/** Of a string. `key` is the number of the key that it is encrypted with. */
export function encode(text) {
  return inSpan('encode payload', {}, async () => {
    if (++encoded % PAYLOADS_PER_KEY === 0) keys.push(toKey(await fetchKey(process.env.KEY_SERVICE)));
    const key = keys.length - 1;
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', keys[key], iv);
    const data = Buffer.concat([cipher.update(text), cipher.final()]);
    return { key, iv, tag: cipher.getAuthTag(), data };
  });
}

export function decode({ key, iv, tag, data }) {
  const decipher = createDecipheriv('aes-256-gcm', keys[key], iv).setAuthTag(tag);
  return Buffer.concat([decipher.update(data), decipher.final()]).toString();
}

function toKey(text) {
  return createHash('sha256').update(text).digest();
}
