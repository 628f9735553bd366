// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import { callbackKindOf } from '../../src/hooks/handle-kinds.js';
import { Backlog } from '../../src/recorder/backlog.js';
import { Tally } from '../../src/recorder/span-time.js';

class TCP {}
class Immediate {}
class Timeout {}
class Http2Stream {}
class Server {
  onconnection() {}
}
class Channel {
  pendingHandle: object | null = {};
}

/** A loop whose callbacks and ids are the test's. */
class Loop {
  private _id = 100;
  private _current = 0;
  readonly found: string[] = [];
  isOver = false;
  readonly backlog = new Backlog(
    {
      onRanBehind: (tally, _ranAt, _ranUntil, turn) => {
        if (tally.origin !== 0) this.found.push(`${(tally.span as unknown as { name: string }).name} @${turn}`);
      },
      onCaughtUp: () => {
        this.isOver = true;
      },
    },
    { current: () => this._current, next: () => ++this._id },
  );
  private _tallies: Tally[] = [];

  /** Makes a resource. @returns its id. */
  make(): number {
    return ++this._id;
  }

  /** A callback of `resource` begins. */
  enter(resource: object, id: number): this {
    this._current = id;
    if (this.backlog.micros !== 0) this.backlog.enter(callbackKindOf(resource));
    return this;
  }

  /** A span begins. */
  begin(name: string): this {
    this._tallies.push(new Tally({ name } as unknown as Span, this.backlog.origin));
    return this;
  }

  turn(busyMillis: number, idleMillis = 0, isBlock = false): this {
    this.backlog.turn(this._tallies, this._tallies.length, busyMillis * 1000, isBlock, idleMillis);
    this._tallies = [];
    return this;
  }
}

describe('what comes forth from the backlog', () => {
  it('is followed over setImmediate, also where a poll did not wait', () => {
    const loop = new Loop();
    const socket = loop.make();
    loop.turn(400, 0, true);
    loop.enter(new TCP(), socket);
    let immediate = loop.make();
    loop.turn(1, 0.2);
    for (let i = 0; i < 3; i++) {
      loop.enter(new Immediate(), immediate).begin(`message ${i}`);
      immediate = loop.make();
      loop.turn(1, 0.2);
    }
    expect(loop.found).toEqual(['message 0 @2', 'message 1 @3', 'message 2 @4']);
    expect(loop.isOver).toBe(false);
  });

  it('is followed over short sleeps, and no longer', () => {
    const loop = new Loop();
    loop.turn(400, 0, true);
    loop.enter(new TCP(), 1);
    const [soon, late, tooLate] = [loop.make(), loop.make(), loop.make()];
    loop.turn(1, 11);
    loop.enter(new Timeout(), soon).begin('soon').turn(1, 14);
    loop.enter(new Timeout(), late).begin('late').turn(1, 0.1);
    expect(loop.found).toEqual(['soon @2', 'late @3']);
    expect(loop.isOver).toBe(true);
    loop.enter(new Timeout(), tooLate).begin('too late').turn(1);
    expect(loop.found).toHaveLength(2);
  });

  it('is not what a later poll brought, nor what came forth from that', () => {
    const loop = new Loop();
    const [socket, other, timer] = [loop.make(), loop.make(), loop.make()];
    loop.turn(400, 0, true);
    loop.enter(new TCP(), socket);
    const immediate = loop.make();
    loop.turn(1);
    loop.enter(new TCP(), other).begin('later request');
    const laterImmediate = loop.make();
    loop.enter(new Timeout(), timer).begin('timer of old');
    loop.enter(new Immediate(), immediate).begin('message');
    loop.turn(1);
    loop.enter(new Immediate(), laterImmediate).begin('handed on later').turn(1);
    expect(loop.found).toEqual(['message @2']);
  });

  it('is the first request of a connection that it accepted, and no second one', () => {
    const loop = new Loop();
    const server = loop.make();
    loop.turn(400, 0, true);
    const accepted = loop.make();
    loop.enter(new Server(), server).turn(1);
    loop.enter(new TCP(), accepted).begin('first').begin('pipelined').turn(1);
    loop.enter(new TCP(), accepted).begin('second').turn(1);
    expect(loop.found).toEqual(['first @2', 'pipelined @2']);
  });

  it('is no connection that came once nothing was waiting to be accepted', () => {
    const loop = new Loop();
    const server = loop.make();
    loop.turn(400, 0, true);
    loop.enter(new TCP(), 1).turn(1);
    const accepted = loop.make();
    loop.enter(new Server(), server).turn(1);
    loop.enter(new TCP(), accepted).begin('later').turn(1);
    expect(loop.found).toEqual([]);
  });

  it('says nothing of a stream that Node.js made ahead of its callback', () => {
    const loop = new Loop();
    loop.turn(400, 0, true);
    loop.enter(new TCP(), 1).turn(1);
    const stream = loop.make();
    loop.enter(new Http2Stream(), stream).begin('later stream').turn(1);
    expect(loop.found).toEqual([]);
  });

  it('ends on a loop that never waits', () => {
    const loop = new Loop();
    loop.turn(100, 0, true);
    let immediate = loop.make();
    let turns = 0;
    for (loop.enter(new Immediate(), 1); !loop.isOver; turns++) {
      immediate = loop.make();
      loop.turn(7).enter(new Immediate(), immediate);
    }
    expect(turns).toBe(15);
  });

  it('ends with another block', () => {
    const loop = new Loop();
    loop.turn(100, 0, true);
    loop.enter(new TCP(), 1);
    const timer = loop.make();
    loop.turn(1, 5);
    loop.backlog.beginAnew();
    expect(loop.isOver).toBe(true);
    loop.turn(80, 0, true);
    loop.enter(new TCP(), 1).turn(1);
    loop.enter(new Timeout(), timer).begin('of the first block').turn(1);
    expect(loop.found).toEqual([]);
  });
});

describe('connections that the primary of a cluster hands over', () => {
  it('may take it a moment each', () => {
    const loop = new Loop();
    const channel = loop.make();
    loop.turn(400, 0, true);
    for (let i = 0; i < 4; i++) {
      const accepted = loop.make();
      loop.enter(new Channel(), channel).turn(1, 0.1);
      loop.enter(new TCP(), accepted).begin(`request ${i}`).turn(1, 0.9);
    }
    expect(loop.found).toHaveLength(4);
  });
});
