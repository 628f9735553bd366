// SPDX-License-Identifier: Apache-2.0
import { AsyncResource } from 'node:async_hooks';
import type { CallbackKind } from '../recorder/backlog.js';
import { classNameOf, readOff } from '../system/foreign.js';

/** What a kind of handle says of whose time it is when it calls back. */
export interface UseKind {
  /** Whose it is before anybody has sent anything: of who made it, or nobody's. */
  readonly isMakersAtFirst: boolean;
  /** Whether who made it is believed to be who uses it, as long as nobody else ever did and its span has not ended. */
  readonly canBeMakersOwn: boolean;
}

/** Client libraries keep connections, and write what they have queued under whoever happened to make them. */
export const CONNECTION: UseKind = { isMakersAtFirst: true, canBeMakersOwn: false };
/** Pipes and the channel of one child process, streams that compress: many a one is there for one request alone. */
export const PRIVATE: UseKind = { isMakersAtFirst: true, canBeMakersOwn: true };
/** What others ask, or what happens in the world. */
export const SHARED: UseKind = { isMakersAtFirst: false, canBeMakersOwn: true };

interface ResourceKind {
  /** Undefined: calls back once, for who made it, or in a context of its own. */
  readonly use: UseKind | undefined;
  readonly brings: CallbackKind;
}

/** What Node.js runs callbacks of, by the name of its class. */
const KINDS = new Map<string, ResourceKind>([
  ['TCP', { use: CONNECTION, brings: 'connection' }],
  ['Pipe', { use: CONNECTION, brings: 'connection' }],
  ['TLSWrap', { use: CONNECTION, brings: 'connection' }],
  ['JSStream', { use: CONNECTION, brings: 'other' }],
  ['Http2Session', { use: SHARED, brings: 'connection' }],
  ['Http2Stream', { use: undefined, brings: 'http2 stream' }],
  ['HTTPServerAsyncResource', { use: undefined, brings: 'connection' }],
  ['MessagePort', { use: SHARED, brings: 'other' }],
  ['UDP', { use: SHARED, brings: 'other' }],
  ['FSEvent', { use: SHARED, brings: 'other' }],
  ['StatWatcher', { use: SHARED, brings: 'other' }],
  ['Signal', { use: SHARED, brings: 'other' }],
  ['Zlib', { use: PRIVATE, brings: 'other' }],
  ['BrotliEncoder', { use: PRIVATE, brings: 'other' }],
  ['BrotliDecoder', { use: PRIVATE, brings: 'other' }],
  ['ZstdCompress', { use: PRIVATE, brings: 'other' }],
  ['ZstdDecompress', { use: PRIVATE, brings: 'other' }],
]);

/** Of the class with this prototype; undefined where each of its objects calls back for who made it. */
export function useKindOf(prototype: object): UseKind | undefined {
  return KINDS.get(classNameOf(prototype))?.use;
}

/** What a callback of `resource` brings. */
export function callbackKindOf(resource: object): CallbackKind {
  return readOff(resource, readKind, 'other');
}

function readKind(resource: object): CallbackKind {
  if (resource instanceof AsyncResource) return 'nested';
  if (isListening(resource)) return 'accept';
  if ((resource as { pendingHandle?: unknown }).pendingHandle != null) return 'handover';
  return KINDS.get(classNameOf(resource))?.brings ?? 'other';
}

/** Whether it is a server's handle. Throws where `resource` does. */
export function isListening(resource: object): boolean {
  return typeof (resource as { onconnection?: unknown }).onconnection === 'function';
}
