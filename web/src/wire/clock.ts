// The server's clock as this screen knows it. Ages are judged by it, so a screen with a wrong
// clock still tells the truth, and a dead link lets every value grow old by itself.

export interface Ticking {
  /** Milliseconds that only ever grow (`performance.now`). */
  monotonic(): number;
  /** The screen's own idea of the time, until the server has told better. */
  wall(): number;
}

export const BROWSER_TIME: Ticking = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
};

export class ServerClock {
  private server_ms: number;
  private read_at: number;

  constructor(private readonly ticking: Ticking = BROWSER_TIME) {
    this.server_ms = ticking.wall();
    this.read_at = ticking.monotonic();
  }

  /** The server said that it is `server_ms` now. */
  told(server_ms: number): void {
    this.server_ms = server_ms;
    this.read_at = this.ticking.monotonic();
  }

  /** Milliseconds UTC. */
  now(): number {
    return this.server_ms + (this.ticking.monotonic() - this.read_at);
  }

  /** For measuring silence: not moved by what the server says. */
  monotonic(): number {
    return this.ticking.monotonic();
  }
}
