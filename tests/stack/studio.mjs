// Somebody with a real browser shares a long recording, for tests/studio.rs, which is the other end: the tab is killed on the way and another goes on,
// then it is played from the bucket, played on after its URL has ended, and downloaded.
//
// argv[2]: JSON with `site` (the edge's address), `storage` (the bucket's), `chromium` (the browser's path), `root` (whether it runs as root), `folder` (where
//          the recording is made), `name` (its file name), `seconds` (its length), `part` (bytes of a part).
// stdout:  one line for each thing that was seen to work; the exit code is 0 when all did. stderr: what did not.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const wanted = JSON.parse(process.argv[2]);

/** How long anything may take, in ms: a shared machine that compiles beside it is slow, and nothing here waits when all is well. */
const PATIENCE = 120_000;
/** Bytes a second of the first tab, so that it is killed in the midst of it. */
const SLOWLY = 40_000_000;

const seen = (what) => console.log(`studio   ${what}`);

/** A recording: 16-bit stereo at 44.1 kHz, each second another tone, so that no two parts are alike. */
async function record(path, seconds) {
  const rate = 44_100;
  const data = seconds * rate * 4;
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(2, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 4, 28);
  head.writeUInt16LE(4, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(data, 40);
  const file = await open(path, "w");
  await file.write(head);
  const second = new Int16Array(rate * 2);
  for (let n = 0; n < seconds; n += 1) {
    const period = 50 + (n % 150);
    for (let frame = 0; frame < rate; frame += 1) {
      second[2 * frame] = second[2 * frame + 1] = ((frame % period) * 12_000) / period - 6_000 + (n >> 6);
    }
    await file.write(new Uint8Array(second.buffer));
  }
  await file.close();
  return 44 + data;
}

async function sha256(path) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

const path = join(wanted.folder, wanted.name);
const size = await record(path, wanted.seconds);
const parts = Math.ceil(size / wanted.part);

/** The studio's page in a tab of its own, with the file chosen; and what of it the storage was sent. */
async function studio(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const puts = [];
  page.on("requestfinished", (request) => {
    if (request.method() === "PUT" && request.url().startsWith(wanted.storage)) puts.push(request.url());
    assert.ok(!(request.url().startsWith(wanted.site) && request.method() === "PUT"), "bytes went to the site");
  });
  await page.goto(`${wanted.site}/studio`);
  await page.locator("#recording").setInputFiles(path);
  return { page, puts };
}

async function share(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`${wanted.site}/sign-in?next=/studio`);
  await page.locator("#name").fill("Ada Lovelace");
  await page.locator("#passphrase").fill("demo");
  await page.locator("form:has(#passphrase) button").click();
  await page.waitForURL(`${wanted.site}/studio`);
  await page.close();

  const first = await studio(context);
  const line = await context.newCDPSession(first.page);
  await line.send("Network.enable");
  await line.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: SLOWLY });
  await first.page.locator("#studio button").click();
  const bar = () => first.page.evaluate(() => document.querySelector("#studio progress").value);
  const shown = [];
  for (let value = await bar(); value < 0.4; value = await bar()) {
    if (value !== shown.at(-1)) shown.push(value);
    const said = await first.page.locator("#studio .status").innerText();
    assert.equal(said, "Sending…", `at ${value}`);
    await first.page.waitForTimeout(50);
  }
  assert.ok(shown.length >= 4, `the progress bar stood still: ${shown}`);
  const crashed = first.page.waitForEvent("crash");
  line.send("Page.crash").catch(() => {});
  await crashed;
  await first.page.close();
  assert.ok(first.puts.length < parts, `all ${parts} parts were sent before the tab was killed`);
  seen(`the tab was killed after ${first.puts.length} of ${parts} parts; the bar had moved ${shown.length} times`);

  const second = await studio(context);
  await second.page.locator("#studio button").click();
  const link = second.page.locator("#studio .status a");
  await link.waitFor();
  const resumed = Number(await second.page.locator("#studio").getAttribute("data-resumed"));
  assert.ok(resumed >= 1 && resumed >= first.puts.length, `${resumed} parts were known, ${first.puts.length} had been sent`);
  assert.equal(second.puts.length, parts - resumed, "parts that were there were sent again");
  assert.equal(await second.page.evaluate(() => document.querySelector("#studio progress").value), 1);
  seen(`another tab went on: ${resumed} parts were there, ${second.puts.length} were sent`);
  await link.click();
  await second.page.waitForURL(/\/recordings\//);
  assert.equal(await second.page.locator("h1").innerText(), wanted.name);
  return second.page;
}

/** Goes to a moment and plays from there. */
const play_from = (page, moment) =>
  page.locator("#player").evaluate(async (audio, moment) => {
    // Muted, so that no policy on sound in a browser without a user stands in the way.
    audio.muted = true;
    if (audio.readyState < 1) await new Promise((done) => audio.addEventListener("loadedmetadata", done, { once: true }));
    audio.currentTime = moment;
    audio.play().catch(() => {});
    const plays = () => !audio.error && !audio.seeking && audio.currentTime > moment + 0.2 && audio.currentTime < moment + 60;
    const until = Date.now() + 100_000;
    while (!plays()) {
      if (Date.now() > until) throw new Error(`it does not play: ${audio.error?.message} at ${audio.currentTime}, ${audio.readyState}, ${audio.paused}`);
      await new Promise((done) => setTimeout(done, 50));
    }
    audio.pause();
    return { at: audio.currentTime, duration: audio.duration, renewed: audio.dataset.renewed ?? null };
  }, moment);

async function listen(page) {
  const answers = [];
  page.on("response", (answer) => answer.url().startsWith(wanted.storage) && answers.push(answer.status()));
  for (const part of [0.75, 0.1, 0.5]) {
    const { at, duration } = await play_from(page, wanted.seconds * part);
    assert.ok(Math.abs(duration - wanted.seconds) < 1, `${duration} s`);
    seen(`played from ${Math.round(wanted.seconds * part)} s of ${Math.round(duration)}: it is at ${at.toFixed(1)} s`);
  }
  assert.ok(answers.length > 0 && answers.every((status) => status === 206), `the storage said ${answers}`);
}

async function listen_past_the_urls_end(page) {
  const [address] = page.url().split("?");
  const urls = new Set();
  page.on("response", (answer) => answer.url().startsWith(wanted.storage) && answer.status() === 206 && urls.add(answer.url()));
  await page.goto(`${address}?lasts=3`);
  await play_from(page, 1);
  const [first] = urls;
  await page.waitForTimeout(4_000);
  assert.equal((await fetch(first, { headers: { range: "bytes=0-9" } })).status, 403, "the player's URL has not ended");
  const { at, renewed } = await play_from(page, wanted.seconds * 0.6);
  assert.ok(Number(renewed) >= 1, "the player did not ask for another URL");
  assert.ok([...urls].some((url) => url !== first), "the player has no other URL");
  seen(`the URL had ended (403); the player asked for another, and plays at ${at.toFixed(1)} s`);
}

async function download(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".actions .button").click()]);
  assert.equal(download.suggestedFilename(), wanted.name);
  assert.ok(download.url().startsWith(wanted.storage), `it came from ${download.url()}`);
  assert.equal(await sha256(await download.path()), await sha256(path), "SHA-256");
  seen(`downloaded as “${wanted.name}”, ${size} bytes, by SHA-256 the same`);
}

const browser = await chromium.launch({
  executablePath: wanted.chromium,
  headless: true,
  args: [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Chromium's sandbox refuses to run as root, which containers' users are.
    ...(wanted.root ? ["--no-sandbox"] : []),
  ],
});
try {
  const context = await browser.newContext();
  const page = await share(context);
  await listen(page);
  await download(page);
  await listen_past_the_urls_end(page);
} finally {
  await browser.close();
}
