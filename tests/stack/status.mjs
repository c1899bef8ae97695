// A visitor of the status page with a real browser, for tests/browser.rs, which is the other end and sets the state: looks at the page in both colour
// schemes and three widths, with a script and without, has axe look at it, and keeps a picture of each.
//
// argv[2]: JSON with `site` (an address), `chromium`, `root` (whether it runs as root), `axe` (a file), `pictures` (a prefix for the screenshots'
//          names), `status`, `headline` (what is expected), `gone` (whether it is the edge that answers).
// stdin:   a line, after which `then` must be the headline, without anybody's loading anything; none where `then` is not there.
// stdout:  one line for each thing that was seen to work, `live` once a line is waited for; the exit code is 0 when all did.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const wanted = JSON.parse(process.argv[2]);
const PATIENCE = 60_000;
const WIDTHS = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 }, narrow: { width: 320, height: 640 } };
const AXE = await readFile(wanted.axe, "utf8");
const seen = (what) => console.log(`status   ${what}`);

async function visit(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !/the server responded with a status of 503/.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  const response = await page.goto(`${wanted.site}/health`, { waitUntil: "load" });
  assert.equal(response.status(), wanted.status);
  assert.equal(response.headers()["cache-control"], "no-store");
  assert.equal(await page.locator("h1").innerText(), wanted.headline);
  return { page, complaints };
}

/** What a program for people who do not see would stumble over, by WCAG 2.2 AA and axe's own advice. */
async function accessible(page, where) {
  // Through the debugger: the page's policy lets no other script in.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  const said = violations.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map(({ html, failureSummary }) => `  ${html}\n  ${failureSummary}`).join("\n")}`);
  assert.deepEqual(said, [], `axe at ${where}`);
}

const browser = await chromium.launch({
  executablePath: wanted.chromium,
  headless: true,
  args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", ...(wanted.root ? ["--no-sandbox"] : [])],
});
try {
  const grounds = {};
  for (const colorScheme of ["light", "dark"]) {
    for (const [width, viewport] of Object.entries(WIDTHS)) {
      const context = await browser.newContext({ viewport, colorScheme, isMobile: width !== "desktop" });
      const { page, complaints } = await visit(context);
      const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
      assert.ok(scroll <= client, `${width}: ${scroll} px wide in a window of ${client}`);
      grounds[colorScheme] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      await page.screenshot({ path: `${wanted.pictures}-${width}-${colorScheme}.png`, fullPage: true });
      if (width !== "narrow") await accessible(page, `${width} ${colorScheme}`);
      assert.deepEqual(complaints, [], `${width} ${colorScheme}`);
      await context.close();
    }
  }
  assert.notEqual(grounds.light, grounds.dark);
  seen(`“${wanted.headline}”: three widths, both colour schemes, nothing that axe objects to`);

  const plain = await browser.newContext({ viewport: WIDTHS.phone, javaScriptEnabled: false });
  const { page: silent } = await visit(plain);
  if (!wanted.gone) assert.ok((await silent.locator(".service").count()) > 0);
  await plain.close();
  seen("says the same without a script");

  if (wanted.then) {
    const context = await browser.newContext({ viewport: WIDTHS.desktop });
    const { page, complaints } = await visit(context);
    await page.locator("#live[data-live=on]").waitFor();
    let loads = 0;
    page.on("load", () => (loads += 1));
    console.log("live");
    await page.locator("h1", { hasText: wanted.then }).waitFor();
    assert.equal(await page.locator("#heard").innerText(), wanted.then);
    assert.equal(loads, 0);
    assert.deepEqual(complaints, []);
    await context.close();
    seen(`became “${wanted.then}” by itself`);
  }
} finally {
  await browser.close();
}
