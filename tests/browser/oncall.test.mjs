// The phone of somebody on call: an acknowledgement is shown as done only when the server has it,
// with the line cut in between.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { PATIENCE_MS, alertOnce, report, startBrowser, startCentre, startLine } from "./harness.mjs";

const GAUGE = "stn-my-tho";
const LEVEL = "water_level_m";
const MINUTE_MS = 60_000;
const PHONE = { width: 390, height: 844 };

const ON_CALL = `
[[person]]
id = "lan"
name = "Nguyễn Thị Lan"
channels = ["app"]
[[person]]
id = "hung"
name = "Trần Văn Hùng"
channels = ["app"]
[[policy]]
id = "critical"
severities = [1]
[[policy.step]]
person = "lan"
channels = ["app"]
wait = "10m"
`;

let browser;
let centre;
before(async () => {
  const own = startCentre([], { "oncall.toml": ON_CALL });
  [browser, centre] = await Promise.all([startBrowser(), own]);
});
after(async () => { await browser?.stop(); await centre?.stop(); });

function river(hoursAgo, minutes, level) {
  report(centre, GAUGE, LEVEL, Date.now() - hoursAgo * 60 * MINUTE_MS + minutes * MINUTE_MS, level);
}

async function until(what, ask) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** An alert of the gauge, and somebody who was called about it. */
async function called() {
  river(6, 0, 1.72);
  river(6, 10, 1.74);
  const alert = await until("an alert of the gauge", async () => {
    const { items } = await centre.get("/alerts?state=open&limit=1000");
    return items.find((item) => item.device === GAUGE && item.severity === 1 && item.state === "unacknowledged");
  });
  const person = await until("somebody is called", async () => {
    const { people } = await centre.get("/oncall");
    for (const { id } of people) {
      const { items } = await centre.get(`/oncall/people/${id}/alerts`);
      if (items.some((item) => item.id === alert.id)) return id;
    }
    return undefined;
  });
  return { alert, person };
}

test("an alert is taken over a line that is cut: not sent, then taken, once", { timeout: 6 * PATIENCE_MS }, async (t) => {
  const line = await startLine(centre.http);
  t.after(() => line.stop());
  const { alert, person } = await called();
  const phone = await browser.open(line.http, "/oncall?screen=phone-story-1&reconnect_ms=1000", PHONE);
  t.after(() => phone.close());
  const { page } = phone;
  await page.getByTestId(`person-${person}`).click();
  const card = page.getByTestId(`card-${alert.id}`);
  await card.waitFor();
  await page.locator('[data-testid="link-state"][data-state="live"]').waitFor();
  const box = await page.getByTestId(`take-${alert.id}`).boundingBox();
  assert.ok(box.height >= 48, "a thumb needs 48 px");

  line.cut();
  await page.getByTestId(`take-${alert.id}`).click();
  await page.getByTestId(`not-sent-${alert.id}`).waitFor();
  assert.equal(await page.getByTestId(`taken-${alert.id}`).count(), 0, "taken without a server");
  assert.equal((await centre.get(`/alerts/${alert.id}`)).state, "unacknowledged");

  // A page that is loaded anew still knows what it owes.
  line.mend();
  await page.reload();
  await page.getByTestId(`taken-${alert.id}`).waitFor();
  const { acknowledgement, history } = await alertOnce(centre, alert.id, (it) => it.acknowledgement);
  const { people } = await centre.get("/oncall");
  assert.equal(acknowledgement.by, people.find(({ id }) => id === person).name);
  assert.equal(history.filter(({ kind }) => kind === "acknowledged").length, 1);
  assert.deepEqual([phone.strays, phone.errors], [[], []]);
});

test("the phone can be installed, and says whether it can be called", { timeout: 3 * PATIENCE_MS }, async (t) => {
  const manifest = await (await fetch(`http://${centre.http}/manifest.webmanifest`)).json();
  assert.equal(manifest.start_url, "/oncall");
  for (const { src } of manifest.icons) assert.equal((await fetch(`http://${centre.http}${src}`)).status, 200);
  const worker = await fetch(`http://${centre.http}/sw.js`);
  assert.match(worker.headers.get("content-type"), /javascript/);

  const phone = await browser.open(centre.http, "/oncall?screen=phone-story-2", PHONE);
  t.after(() => phone.close());
  const { page } = phone;
  await page.locator('button[data-testid^="person-"]').first().click();
  await page.locator('[data-testid="push"][data-state]').waitFor();
  assert.match(await page.getByTestId("push").innerText(), /\S/);
  const registered = await page.evaluate(() => navigator.serviceWorker.register("/sw.js").then(({ scope }) => scope));
  assert.equal(registered, `http://${centre.http}/`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${wide} px too wide`);
  assert.deepEqual([phone.strays, phone.errors], [[], []]);
});
