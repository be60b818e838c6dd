// The HTTP API as the desk needs it beyond what every screen does.
import { backtestOf, type BacktestReport } from './backtest';
import { adviceOf, stageNumber, type Advice, type StageNumber } from './centre';
import { queryOf } from './client';
import { deskRecordOf, draftOf, type DeskRecord, type Draft, type EntryKind, type Reach } from './desk';
import { Api } from './http';
import type { Field } from './nouns';
import { rosterOf, type Roster } from './on_call';
import { performanceOf, type Performance } from './performance';
import { ruleTextOf, type RuleText } from './rules';
import * as shape from './shape';
import { storyOf, whyOf, type Story, type Why } from './why';

/** A backtest runs over weeks of history: longest wait for it, milliseconds. The server gives up a
 *  little earlier. */
const BACKTEST_MS = 6_100_000;

/** Who says it. */
export interface Signed {
  by: string;
}

export interface StageStory {
  stage: StageNumber | undefined;
  since: number | undefined;
  by: string | undefined;
  reason: string | undefined;
  advice: Advice | undefined;
  history: DeskRecord<'stage'>[];
}

export class DeskApi extends Api {
  async story(alert: string): Promise<Story> {
    return storyOf(await this.get(`/alerts/${encodeURIComponent(alert)}`));
  }

  async why(alert: string): Promise<Why> {
    return whyOf(await this.get(`/alerts/${encodeURIComponent(alert)}/why`));
  }

  /** The rules in force, by id. */
  async ruleTexts(): Promise<Map<string, RuleText>> {
    const rules = await this.list('/rules', ruleTextOf);
    return new Map(rules.map((rule) => [rule.id, rule]));
  }

  async stage(): Promise<StageStory> {
    const from = shape.object(await this.get('/stage'));
    const history = shape.optionalArray(from, 'history');
    return {
      stage: shape.optional(from, 'stage', () => stageNumber(from, 'stage')),
      since: shape.optionalTime(from, 'since'),
      by: shape.optionalString(from, 'by'),
      reason: shape.optionalString(from, 'reason'),
      advice: shape.optional(from, 'advice', adviceOf),
      history: history.map((each) => deskRecordOf(each, 'stage')).filter((each) => each !== undefined),
    };
  }

  setStage(order: Signed & { stage: StageNumber; reason: string }, key: string) {
    return this.post('/stage', order, key);
  }

  setDrill(order: Signed & { on: boolean; reason: string }, key: string) {
    return this.post('/drill', order, key);
  }

  takeOut(order: Signed & { reach: Reach; reason: string }, key: string) {
    return this.post('/out-of-service', order, key);
  }

  putBack(entry: string, order: Signed, key: string) {
    return this.post(`/out-of-service/${encodeURIComponent(entry)}/put-back`, order, key);
  }

  planWork(order: Signed & { reach: Reach; from: string; until: string; reason: string }, key: string) {
    return this.post('/works', order, key);
  }

  endWork(entry: string, order: Signed, key: string) {
    return this.post(`/works/${encodeURIComponent(entry)}/end`, order, key);
  }

  async draft(desk: Field | undefined): Promise<Draft> {
    return draftOf(await this.get(`/shifts/now?${queryOf({ desk })}`));
  }

  handOver(
    order: Signed & { to: string; desk: Field | null; from: string; text: string },
    key: string,
  ) {
    return this.post('/shifts', order, key);
  }

  /** The desk's entries of one kind, under their own path. */
  async entries<K extends EntryKind>(path: string, kind: K): Promise<DeskRecord<K>[]> {
    const records = await this.list(path, (each) => deskRecordOf(each, kind));
    return records.filter((record) => record !== undefined);
  }

  async performance(from: string, to: string, desk: string): Promise<Performance> {
    return performanceOf(await this.get(`/performance?${queryOf({ from, to, desk })}`));
  }

  /** Throws `Refused` (422) with the mistakes in the rules. */
  async backtest(order: { rules: string; from: string; to: string }, key: string): Promise<BacktestReport> {
    return backtestOf(await this.post('/backtest', order, key, undefined, BACKTEST_MS));
  }

  async roster(): Promise<Roster> {
    return rosterOf(await this.get('/oncall'));
  }

  standIn(
    order: Signed & { team: string; person: string; from: string; until: string },
    key: string,
  ) {
    return this.post('/oncall/overrides', order, key);
  }

  beAway(
    order: Signed & { person: string; from: string; until: string; reason: string },
    key: string,
  ) {
    return this.post('/oncall/absences', order, key);
  }

  cancelEntry(entry: string, order: Signed, key: string) {
    return this.post(`/oncall/entries/${encodeURIComponent(entry)}/cancel`, order, key);
  }
}
