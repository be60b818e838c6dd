// The HTTP API as the phone of somebody on call needs it.
import { Api } from './http';
import { alertOf, type AlertRecord } from './nouns';
import { rosterOf, type Roster } from './on_call';
import { ruleTextOf, type RuleText } from './rules';
import * as shape from './shape';

export class OnCallApi extends Api {
  async roster(): Promise<Roster> {
    return rosterOf(await this.get('/oncall'));
  }

  /** The open alerts that this person was called about. */
  async alertsOf(person: string): Promise<AlertRecord[]> {
    return await this.list(`/oncall/people/${encodeURIComponent(person)}/alerts`, alertOf);
  }

  async ruleTexts(): Promise<Map<string, RuleText>> {
    const rules = await this.list('/rules', ruleTextOf);
    return new Map(rules.map((rule) => [rule.id, rule]));
  }

  /** The server's public key for push subscriptions, base64url. */
  async pushKey(): Promise<string> {
    return shape.string(shape.object(await this.get('/oncall/push-key')), 'key');
  }

  /** Tells the server where this browser takes push messages for a person. */
  async subscribe(person: string, by: string, subscription: unknown, key: string): Promise<void> {
    await this.post('/oncall/push', { by, person, subscription }, key);
  }
}
