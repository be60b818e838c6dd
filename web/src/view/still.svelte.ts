// Whether somebody's hand is on a part of the page, so that it keeps still.

/** A pointer that was left lying, or a focus nobody uses, holds no longer than this, milliseconds:
 *  a wall must not stand still for weeks because of a forgotten mouse. */
export const STILL_MS = 15_000;

export class Still {
  held = $state(false);
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `changed` is told when the hand comes, before anything moves, and when it has gone. */
  constructor(private readonly changed: (held: boolean) => void = () => {}) {}

  /** To be spread over the element. */
  readonly events = {
    onpointerenter: () => this.hold(),
    onpointermove: () => this.hold(),
    onpointerdown: () => this.hold(),
    onfocusin: () => this.hold(),
    onkeydown: () => this.hold(),
    // A finger leaves at once after each touch; only a mouse says by leaving that it is done.
    onpointerleave: (event: PointerEvent) => event.pointerType !== 'touch' && this.release(),
  };

  release(): void {
    clearTimeout(this.timer);
    this.set(false);
  }

  private hold(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.set(false), STILL_MS);
    this.set(true);
  }

  private set(held: boolean): void {
    if (held === this.held) return;
    this.held = held;
    this.changed(held);
  }
}
