// Something that is asked for over HTTP: what came, whether it is under way, whether it failed.
import { Refused } from '../wire/client';

/** A server that does not answer is asked again after so long, milliseconds, and so often. */
const AGAIN_MS = 5_000;
const TRIES_MAX = 120;

export class Loaded<T> {
  value = $state.raw<T | undefined>();
  failed = $state(false);
  busy = $state(false);
  private asked = 0;
  private tries = 0;

  constructor(private readonly ask: () => Promise<T>) {}

  /** Asks anew; what is there stays until the answer. Of two answers the later asking counts. */
  async load(): Promise<void> {
    this.tries = 0;
    await this.once();
  }

  private async once(): Promise<void> {
    const turn = ++this.asked;
    this.busy = true;
    try {
      const value = await this.ask();
      if (turn !== this.asked) return;
      this.value = value;
      this.failed = false;
    } catch (error) {
      if (turn !== this.asked) return;
      console.warn('not loaded', String(error));
      this.failed = true;
      const is_final = error instanceof Refused && error.is_final;
      if (!is_final && ++this.tries < TRIES_MAX) {
        setTimeout(() => turn === this.asked && void this.once(), AGAIN_MS);
      }
    }
    this.busy = false;
  }
}
