// The sounds of a screen: two tones for each urgency, made on the spot, nothing to download.

export type SoundState = 'on' | 'blocked' | 'muted';
export type Chime = 'critical' | 'high' | 'lost';

/** Pairs of tones in hertz: told apart by pitch and by direction. */
const TONES: Record<Chime, readonly [number, number]> = {
  critical: [880, 1_175],
  high: [659, 523],
  lost: [392, 294],
};
const TONE_S = 0.28;
const LOUDNESS = 0.35;

export class Speaker {
  private context: AudioContext | null = null;
  private muted = false;

  constructor(private readonly changed: (state: SoundState) => void = () => {}) {}

  /** Prepares the sound; a browser may hold it back until somebody touches the page. */
  start(): void {
    if (typeof AudioContext === 'undefined') return this.changed('blocked');
    this.context ??= new AudioContext();
    this.context.onstatechange = () => this.changed(this.state());
    this.changed(this.state());
  }

  /** Somebody touched the page: now the browser allows sound. */
  async allow(): Promise<void> {
    await this.context?.resume().catch(() => undefined);
    this.changed(this.state());
  }

  toggle(): void {
    this.muted = !this.muted;
    this.changed(this.state());
  }

  state(): SoundState {
    if (this.muted) return 'muted';
    return this.context?.state === 'running' ? 'on' : 'blocked';
  }

  play(chime: Chime): void {
    if (this.state() !== 'on' || !this.context) return;
    const begin = this.context.currentTime;
    TONES[chime].forEach((hertz, index) => this.tone(hertz, begin + index * TONE_S));
  }

  stop(): void {
    void this.context?.close();
    this.context = null;
  }

  private tone(hertz: number, at: number): void {
    const context = this.context;
    if (!context) return;
    const source = new OscillatorNode(context, { frequency: hertz, type: 'sine' });
    const volume = new GainNode(context, { gain: 0 });
    // Ramps, because a tone cut off hard clicks.
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.02);
    volume.gain.linearRampToValueAtTime(0, at + TONE_S);
    source.connect(volume).connect(context.destination);
    source.start(at);
    source.stop(at + TONE_S);
  }
}
