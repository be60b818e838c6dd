// Something that is asked for over HTTP: what came, whether it is under way, whether it failed.
export class Loaded<T> {
  value = $state.raw<T | undefined>();
  failed = $state(false);
  busy = $state(false);
  private asked = 0;

  constructor(private readonly ask: () => Promise<T>) {}

  /** Asks anew; what is there stays until the answer. Of two answers the later asking counts. */
  async load(): Promise<void> {
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
    }
    this.busy = false;
  }
}
