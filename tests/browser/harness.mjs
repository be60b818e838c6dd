// Starts a centre and a Chromium for the stories; a proxy between them stands for the network.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const { chromium } = createRequire(path.join(root, "web/package.json"))("playwright-core");

/** How long a story waits for a fact on a busy machine, in milliseconds. */
export const PATIENCE_MS = 90_000;

/** A centre on free ports with its own folders; `files` stand in for those of `config/` by name.
 *  `stop()` ends it. */
export async function startCentre(args = [], files = {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sen-story-"));
  cpSync(path.join(root, "config"), path.join(folder, "config"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, "config", name), text);
  const child = spawn(
    path.join(root, "target/debug/sen"),
    ["run", "--print-addresses", "--config", path.join(folder, "config"), "--data", path.join(folder, "data"), ...args],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        SEN__TELEMETRY__FILTER: "warn",
        SEN__GATEWAY__LISTEN: "127.0.0.1:0",
        SEN__INGEST__LISTEN: "127.0.0.1:0",
      },
    },
  );
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const lines = readline.createInterface({ input: child.stdout });
  const first = await Promise.race([
    new Promise((resolve) => lines.once("line", resolve)),
    ended.then((code) => Promise.reject(new Error(`sen ended with ${code}`))),
  ]);
  const addresses = JSON.parse(first);
  return {
    http: addresses.http,
    mqttPort: Number(addresses.mqtt.split(":").pop()),
    async get(where) {
      const answer = await fetch(`http://${addresses.http}/api/v1${where}`);
      if (!answer.ok) throw new Error(`${where}: ${answer.status}`);
      return answer.json();
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Publishes one reading with QoS 1 and returns when it was acknowledged. */
export function report(centre, device, metric, eventTimeMs, value) {
  const payload = JSON.stringify({ ts: eventTimeMs, values: { [metric]: value } });
  const done = spawnSync("mosquitto_pub", [
    "-p", String(centre.mqttPort), "-q", "1", "-t", `sen/v1/${device}/telemetry`, "-m", payload,
  ]);
  if (done.status !== 0) throw new Error(`mosquitto_pub: ${done.stderr}`);
}

/** Asks again until the answer is something. */
export async function until(what, ask) {
  const last = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > last) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** An alert as the API has it, once it fits: that may be a moment after a screen shows it. */
export function alertOnce(centre, id, fits) {
  return until(`alert ${id}`, async () => {
    const alert = await centre.get(`/alerts/${id}`);
    return fits(alert) && alert;
  });
}

/** A line between the wall and the centre that can be cut and mended. */
export async function startLine(target) {
  const [host, port] = target.split(":");
  const sockets = new Set();
  let whole = true;
  const server = net.createServer((near) => {
    if (!whole) return near.destroy();
    const far = net.connect(Number(port), host);
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => { sockets.delete(socket); other.destroy(); });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    http: `127.0.0.1:${server.address().port}`,
    cut() { whole = false; for (const socket of sockets) socket.destroy(); },
    mend() { whole = true; },
    stop() { this.cut(); server.closeAllConnections?.(); return new Promise((resolve) => server.close(resolve)); },
  };
}

/** A browser whose pages collect what must not happen: errors, and requests to anywhere else. */
export async function startBrowser() {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu-sandbox", "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--no-first-run",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  return {
    async open(address, where, viewport) {
      const context = await browser.newContext({ viewport, locale: "vi-VN", timezoneId: "Asia/Ho_Chi_Minh" });
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MS);
      const strays = [];
      const errors = [];
      page.on("request", (request) => {
        const url = new URL(request.url());
        const local = ["data:", "blob:"].includes(url.protocol) || url.host === address;
        if (!local) strays.push(request.url());
      });
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("console", (message) => {
        const cut = /WebSocket|Failed to load resource|ERR_/.test(message.text());
        if (message.type() === "error" && !cut) errors.push(message.text());
      });
      await page.goto(`http://${address}${where}`);
      return { page, strays, errors, close: () => context.close() };
    },
    stop: () => browser.close(),
  };
}
