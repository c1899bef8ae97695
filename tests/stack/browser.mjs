// A visitor with a real browser, for tests/browser.rs, which is the other end: signs in, listens, talks, downloads, looks at every page in
// both colour schemes and widths, and keeps a picture of each.
//
// argv[2]: JSON with `site` (the edge's address), `secure` (the same over TLS, where there is any), `admin` (the gateway's private listener),
//          `chromium` (the browser's path), `root` (whether it runs as root), `pictures` (a prefix
//          for the screenshots' names), `files` (what the bucket holds: `work`, `name`, `sha256` of some).
// stdout:  one line for each thing that was seen to work; the exit code is 0 when all did. stderr: what did not, with the page's address.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const wanted = JSON.parse(process.argv[2]);

/** How long anything may take, in ms: a shared machine that compiles beside it is slow, and nothing here waits when all is well. */
const PATIENCE = 30_000;

/** The two ends of what people look at sites with. 320 CSS pixels is also what WCAG 2.2 (1.4.10, reflow) asks for. */
const WIDTHS = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 }, narrow: { width: 320, height: 640 } };

/** Pages for the visitor, then those that say what went wrong: the app's, and the edge's own when the app hangs up or the visitor is not let in. */
const PAGES = [
  ["home", "/", 200],
  ["creator", "/c/mira", 200],
  ["player", "/player/tide", 200],
  ["sign-in", "/sign-in", 200],
  ["chat", "/chat", 200],
  ["upload", "/upload", 200],
  ["error-of-the-app", "/no-such-page", 404],
  ["error-of-the-edge", "/misbehave/close", 502],
  ["blocked", "/.env", 403],
  ["too-often", "/too-often", 429],
  ["challenge", "/cache?checked=1", 403],
];

/** What the site shows while it is closed. */
const CLOSED = [["maintenance", "/", 503]];

/** Turnstile's script, as far as a page can tell: a box of the widget's size, and a token that tests/stack/src/turnstile.rs takes for good. */
const turnstile = (passes) => `
  const widget = document.querySelector(".cf-turnstile");
  const box = document.createElement("div");
  box.textContent = "Turnstile's widget";
  Object.assign(box.style, { height: "65px", border: "1px dashed", padding: "20px" });
  widget.append(box);
  if (${passes}) {
    const token = \`stand-in/\${location.hostname}/\${widget.dataset.action}/\${crypto.randomUUID()}\`;
    widget.append(Object.assign(document.createElement("input"), { type: "hidden", name: "cf-turnstile-response", value: token }));
    window[widget.dataset.callback](token);
  }`;

async function with_turnstile(context, passes) {
  const script = { contentType: "text/javascript", body: turnstile(passes) };
  await context.route("https://challenges.cloudflare.com/turnstile/v0/api.js", (route) => route.fulfill(script));
}

const seen = (what) => console.log(`browser  ${what}`);

/** A page whose complaints are kept: console errors, exceptions, requests that failed. */
async function open(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("requestfailed", (request) => {
    // Leaving a page ends its event stream, and a download ends the navigation that became it; neither is a fault.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  return { page, complaints };
}

/** Goes there, expects that status, and that nothing complains but the browser itself about the status. */
async function visit({ page, complaints }, path, status) {
  complaints.length = 0;
  const response = await page.goto(wanted.site + path, { waitUntil: "load" });
  assert.equal(response.status(), status, `GET ${path}`);
  return response;
}

function contented({ page, complaints }, status = 200) {
  const about_the_status = new RegExp(`the server responded with a status of ${status} `);
  const rest = status < 400 ? complaints : complaints.filter((text) => !(about_the_status.test(text) && text.includes(`(${page.url()})`)));
  assert.deepEqual(rest, [], `complaints at ${page.url()}`);
}

async function no_sideways_scroll(page, where) {
  const { scroll, client, widest } = await page.evaluate(() => {
    const { scrollWidth: scroll, clientWidth: client } = document.documentElement;
    const out = [...document.querySelectorAll("body *")].find((element) => element.getBoundingClientRect().right > client + 1);
    return { scroll, client, widest: out && `${out.tagName.toLowerCase()}.${out.getAttribute("class") ?? ""}` };
  });
  assert.ok(scroll <= client, `${where} is ${scroll} px wide in a window of ${client}: look at ${widest}`);
}

/** What a visitor does, one after another, in one session. */
async function walk(browser) {
  const context = await browser.newContext({ viewport: WIDTHS.desktop, colorScheme: "light" });
  const tab = await open(context);
  const { page } = tab;

  await visit(tab, "/", 200);
  assert.match(await page.title(), /Makenot\.work/);
  const style = await page.evaluate(() => getComputedStyle(document.querySelector(".button")).borderRadius);
  assert.notEqual(style, "0px", "the stylesheet under /static/ was not applied");
  const count = () => page.locator("#feed").getAttribute("data-count").then(Number);
  await page.locator("#feed[data-state=live]").waitFor();
  const first = await count();
  await page.waitForFunction((least) => Number(document.querySelector("#feed").dataset.count) >= least, first + 2, { timeout: PATIENCE });
  seen(`the feed ticks: ${first} → ${await count()} events`);
  contented(tab);

  // Without an account a download leads to the form, and the form leads back to it.
  await page.goto(`${wanted.site}/player/tide`);
  await page.locator(".actions .button").first().click();
  await page.waitForURL((url) => url.pathname === "/sign-in" && url.searchParams.get("next") === "/download/tide");
  await page.locator("#name").fill("Ada Lovelace");
  await page.locator("#passphrase").fill("wrong");
  await page.locator("form:has(#passphrase) button").click();
  await page.locator("#problem").waitFor();
  contented(tab, 422);
  tab.complaints.length = 0;
  await page.locator("#passphrase").fill("demo");
  const [led_back] = await Promise.all([page.waitForEvent("download"), page.locator("form:has(#passphrase) button").click()]);
  assert.equal(led_back.suggestedFilename(), "Tide.wav");
  await visit(tab, "/account", 200);
  assert.match(await page.locator("h1").innerText(), /Ada Lovelace/);
  await page.locator(".account-box .who").waitFor();
  contented(tab);
  await page.screenshot({ path: `${wanted.pictures}-account-desktop-light.png`, fullPage: true });
  seen("signed in after a wrong passphrase was refused, and was led back to the download");

  for (const file of wanted.files) {
    await page.goto(`${wanted.site}/player/${file.work}`);
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".actions .button").first().click()]);
    assert.equal(download.suggestedFilename(), file.name);
    assert.ok(!download.url().startsWith(wanted.site), `the bytes came through the edge: ${download.url()}`);
    const hash = createHash("sha256").update(await readFile(await download.path())).digest("hex");
    assert.equal(hash, file.sha256, `SHA-256 of ${file.name}`);
    seen(`downloaded “${file.name}” from the bucket itself`);
  }
  contented(tab);

  await visit(tab, "/player/tide", 200);
  // Muted, so that no policy on sound in a browser without a user stands in the way.
  const played = await page.locator("audio").evaluate(async (audio) => {
    audio.muted = true;
    await audio.play();
    await new Promise((resolve) => audio.addEventListener("timeupdate", () => audio.currentTime > 0 && resolve()));
    audio.pause();
    return { ready: audio.readyState, duration: audio.duration, error: audio.error?.message };
  });
  assert.ok(played.ready >= 2 && played.duration > 3, JSON.stringify(played));
  contented(tab);
  seen(`played a recording of ${played.duration} s`);

  await visit(tab, "/chat", 200);
  await page.locator("#say:enabled").waitFor();
  for (const words of ["Good evening", "Grüße, <b>und</b> ☂"]) {
    await page.locator("#say").fill(words);
    await page.keyboard.press("Enter");
    await page.locator(".talk .them", { hasText: `You said: ${words}` }).waitFor();
  }
  contented(tab);
  await page.screenshot({ path: `${wanted.pictures}-chat-talk-desktop-light.png`, fullPage: true });
  seen("chatted over the WebSocket");

  await visit(tab, "/upload", 200);
  const bytes = Buffer.alloc(3_000_000, "edge");
  await page.locator("#file").setInputFiles({ name: "three.bin", mimeType: "application/octet-stream", buffer: bytes });
  await page.locator("#upload button").click();
  await page.locator(".result [data-field=sha256]", { hasText: createHash("sha256").update(bytes).digest("hex") }).waitFor();
  assert.equal(await page.locator(".result [data-field=bytes]").innerText(), String(bytes.length));
  contented(tab);
  await page.screenshot({ path: `${wanted.pictures}-upload-done-desktop-light.png`, fullPage: true });
  seen("uploaded 3 MB, which arrived whole");

  await visit(tab, "/c/mira", 200);
  const pager = page.locator(".pager a[rel=next]");
  if (await pager.count()) {
    await pager.click();
    await page.waitForURL((url) => url.searchParams.get("page") === "2");
    await page.locator(".pager a[rel=prev]").waitFor();
    seen("turned a page of works without loading the whole (HTMX)");
  }
  contented(tab);

  await page.locator(".account-box button").click();
  await page.waitForURL(`${wanted.site}/`);
  await page.locator(".account-box .button[href='/sign-in']").waitFor();
  contented(tab);
  seen("signed out");
  await context.close();
}

/** Passes a challenge, and is led on; over TLS, without which browsers keep no clearance. */
async function pass(browser) {
  const context = await browser.newContext({ viewport: WIDTHS.phone, ignoreHTTPSErrors: true });
  await with_turnstile(context, true);
  const tab = await open(context);
  const path = "/cache?checked=1&a=%22b%22";
  const led_on = tab.page.waitForResponse((response) => response.url() === wanted.secure + path && response.status() === 200);
  assert.equal((await tab.page.goto(wanted.secure + path)).status(), 403);
  await led_on;
  assert.equal(tab.page.url(), wanted.secure + path);
  const [clearance] = (await context.cookies()).filter((cookie) => cookie.name === "__Host-clearance");
  assert.ok(clearance.httpOnly && clearance.secure && clearance.sameSite === "Lax", JSON.stringify(clearance));
  assert.equal((await tab.page.goto(`${wanted.secure}/cache?checked=2`)).status(), 200, "it is not asked again");
  assert.deepEqual(tab.complaints.filter((text) => !text.includes("a status of 403")), []);
  await context.close();
  seen("passed a challenge under its policy, and was led on");
}

/** Every page in every width and both colour schemes. */
async function look(browser, pages) {
  for (const colorScheme of ["light", "dark"]) {
    for (const [width, viewport] of Object.entries(WIDTHS)) {
      const context = await browser.newContext({ viewport, colorScheme, isMobile: width !== "desktop", hasTouch: width !== "desktop" });
      await with_turnstile(context, false);
      const grounds = new Set();
      for (const [name, path, status] of pages) {
        const tab = await open(context);
        await visit(tab, path, status);
        if (name === "home") await tab.page.locator("#feed[data-state=live]").waitFor();
        if (name === "chat") await tab.page.locator("#say:enabled").waitFor();
        if (name === "challenge") await tab.page.getByText("Turnstile's widget").waitFor();
        if (status === 200 || name === "error-of-the-app") await tab.page.locator(".account-box .button[href='/sign-in']").waitFor();
        contented(tab, status);
        await no_sideways_scroll(tab.page, `${path} (${width}, ${colorScheme})`);
        grounds.add(await tab.page.evaluate(() => getComputedStyle(document.body).backgroundColor));
        if (width !== "narrow") {
          await tab.page.screenshot({ path: `${wanted.pictures}-${name}-${width}-${colorScheme}.png`, fullPage: true });
        }
        await tab.page.close();
      }
      for (const ground of grounds) {
        const sum = ground.match(/\d+/g).slice(0, 3).reduce((total, channel) => total + Number(channel), 0);
        assert.ok(colorScheme === "dark" ? sum < 200 : sum > 600, `${colorScheme} pages stand on ${ground}`);
      }
      await context.close();
    }
  }
  seen(`${pages.length} page(s) in ${Object.keys(WIDTHS).length} widths and both colour schemes: no complaint, no sideways scroll`);
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
  await walk(browser);
  if (wanted.secure) await pass(browser);
  // What may be had once only has been had.
  await fetch(`${wanted.site}/too-often`);
  await look(browser, PAGES);
  const closing = (method) => fetch(`${wanted.admin}/maintenance`, { method });
  await closing("POST");
  for (const until = Date.now() + PATIENCE; (await fetch(`${wanted.site}/`)).status !== 503; ) {
    assert.ok(Date.now() < until, "the site does not close");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await look(browser, CLOSED);
  await closing("DELETE");
} finally {
  await browser.close();
}
