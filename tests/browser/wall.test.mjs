// The wall as people see it: an alert appears, is acknowledged with a click, clears; the line is
// cut and mended; nothing is missed, nothing is silently stale, nothing leaves the machine.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { PATIENCE_MS, report, startBrowser, startCentre, startLine, until } from "./harness.mjs";

const GAUGE = "stn-my-tho";
const LEVEL = "water_level_m";
const MINUTE_MS = 60_000;
const WALL = { width: 1920, height: 1080 };

let browser;
let centre;
before(async () => { [browser, centre] = await Promise.all([startBrowser(), startCentre()]); });
after(async () => { await browser?.stop(); await centre?.stop(); });

/** An episode of the gauge, in event time: over alarm level III, or back under every level. */
function river(hoursAgo, minutes, level) {
  report(centre, GAUGE, LEVEL, Date.now() - hoursAgo * 60 * MINUTE_MS + minutes * MINUTE_MS, level);
}

async function severest() {
  const { items } = await centre.get("/rules?limit=1000");
  return items.find((rule) => rule.severity === 1 && rule.match.devices?.includes(GAUGE)).id;
}

/** An alert of the worst level of a rule; it explains those of the milder ones. */
function alertOf(rule, fits) {
  return until(`an alert of ${rule}`, async () => {
    const { items } = await centre.get("/alerts?state=all&limit=1000");
    return items.find((item) => item.rule === rule && item.severity === 1 && fits(item));
  });
}

test("an alert appears, is acknowledged with a click, and clears", { timeout: 4 * PATIENCE_MS }, async (t) => {
  const wall = await browser.open(centre.http, "/wall?screen=story-1", WALL);
  t.after(() => wall.close());
  const { page } = wall;
  await page.locator('[data-testid="link-state"][data-state="live"]').waitFor();
  const rule = await severest();
  river(8, 0, 1.72);
  river(8, 10, 1.74);
  const alert = await alertOf(rule, (item) => item.state === "unacknowledged");
  const row = page.getByTestId(`alert-${alert.id}`);
  await row.waitFor();
  assert.equal(await row.getAttribute("data-severity"), "1");
  assert.match(await row.innerText(), /Mỹ Tho/);
  assert.match(await row.innerText(), /chưa xác nhận/i);

  await page.getByTestId(`ack-${alert.id}`).click();
  await page.locator(`[data-testid="alert-${alert.id}"][data-state="acknowledged"]`).waitFor();
  await alertOf(rule, (item) => item.id === alert.id && item.state === "acknowledged");

  river(8, 20, 0.7);
  river(8, 30, 0.7);
  await alertOf(rule, (item) => item.id === alert.id && item.state === "normal");
  await row.waitFor({ state: "detached" });
  assert.deepEqual([wall.strays, wall.errors], [[], []]);
});

test("a wall that was cut off covers itself, comes back, and shows what it missed", { timeout: 4 * PATIENCE_MS }, async (t) => {
  const line = await startLine(centre.http);
  t.after(() => line.stop());
  const wall = await browser.open(line.http, "/wall?screen=story-2", WALL);
  t.after(() => wall.close());
  const { page } = wall;
  await page.locator('[data-testid="link-state"][data-state="live"]').waitFor();
  await page.locator('[data-testid="map"][data-state="ready"]').waitFor();
  const cover = page.getByTestId("stale-cover");
  // A page that was drawing its map for long may have been covered meanwhile.
  await cover.waitFor({ state: "detached" });

  line.cut();
  const cutAt = Date.now();
  await cover.waitFor();
  assert.match(await cover.innerText(), /mất tín hiệu từ \d\d:\d\d:\d\d/i);
  const rule = await severest();
  river(5, 0, 1.72);
  river(5, 10, 1.74);
  const raised = await alertOf(rule, (item) => item.state === "unacknowledged");
  river(5, 20, 0.7);
  river(5, 30, 0.7);
  await alertOf(rule, (item) => item.id === raised.id && item.cleared_at);
  assert.equal(await page.getByTestId(`alert-${raised.id}`).count(), 0, "shown through a cut line");

  await page.waitForFunction((at) => Date.now() - at >= 60_000, cutAt);
  line.mend();
  await cover.waitFor({ state: "detached" });
  // It is over but nobody has taken it: it stands in the list, and among what was missed.
  await page.locator(`[data-testid="alert-${raised.id}"][data-state="returned_unacknowledged"]`).waitFor();
  await page.getByTestId("missed-list").waitFor();
  assert.match(await page.getByTestId("missed-list").innerText(), /Mỹ Tho/);
  assert.deepEqual([wall.strays, wall.errors], [[], []]);
});

test("the wall is whole at every size, in both languages", { timeout: 6 * PATIENCE_MS }, async () => {
  for (const [name, width, height] of [["1080p", 1920, 1080], ["2160p", 3840, 2160], ["phone", 390, 844]]) {
    for (const [lang, title] of [["vi", /Môi trường/], ["en", /Environment/]]) {
      const wall = await browser.open(centre.http, `/wall?screen=size-${name}&lang=${lang}`, { width, height });
      await wall.page.locator('[data-testid="link-state"][data-state="live"]').waitFor();
      await wall.page.getByTestId("map").waitFor();
      assert.match(await wall.page.locator("body").innerText(), title);
      const wide = await wall.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} ${lang}: ${wide} px too wide`);
      assert.deepEqual([wall.strays, wall.errors], [[], []], `${name} ${lang}`);
      await wall.close();
    }
  }
});
