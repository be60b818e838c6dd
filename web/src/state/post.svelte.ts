// An order that is not about one alert: a stage, planned work, a shift. Its answer is a record that
// is already in the log, so the answer is the proof.
import { Refused } from '../wire/client';
import { textIn } from '../wire/http';
import type { Text } from '../wire/nouns';

export type PostPhase = 'idle' | 'sending' | 'failed' | 'refused' | 'done';

export class Post {
  phase = $state<PostPhase>('idle');
  /** Why it was refused. */
  text = $state.raw<Text | undefined>();
  /** The whole answer of a refusal. */
  problem = $state.raw<unknown>();
  private failed: { words: string; key: string } | undefined;

  constructor(private readonly make_key: () => string) {}

  /** Gives the order; the answer, or undefined if it was not carried out. A try that nobody
   *  answered is repeated under its own key. */
  async send<O, A>(order: O, post: (order: O, key: string) => Promise<A>): Promise<A | undefined> {
    if (this.phase === 'sending') return undefined;
    const words = JSON.stringify(order);
    const key = this.failed?.words === words ? this.failed.key : this.make_key();
    this.phase = 'sending';
    this.text = undefined;
    this.problem = undefined;
    try {
      const answer = await post(order, key);
      this.failed = undefined;
      this.phase = 'done';
      return answer;
    } catch (error) {
      const is_final = error instanceof Refused && error.is_final;
      this.failed = is_final ? undefined : { words, key };
      if (error instanceof Refused) [this.text, this.problem] = [textIn(error), error.problem];
      this.phase = is_final ? 'refused' : 'failed';
      return undefined;
    }
  }
}
