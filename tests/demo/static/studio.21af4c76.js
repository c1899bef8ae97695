// The studio: a file goes to the bucket in parts, and goes on after a break; and the player, which asks for another URL when its own has ended.
"use strict";

const studio = document.getElementById("studio");
if (studio) {
  const [progress, status, button] = ["progress", ".status", "button"].map((name) => studio.querySelector(name));
  /** Parts on their way at a time, tries of each, and URLs asked for at once. */
  const [AT_ONCE, TRIES, BATCH] = [3, 5, 20];

  /** One step of the gateway's: throws what it or the app says against it. */
  const step = async (name, body) => {
    const answer = await fetch(studio.dataset.source + name, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": studio.dataset.csrf },
      body: JSON.stringify(body),
    });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(said.error ?? `status ${answer.status}`), { status: answer.status });
    return said;
  };
  // XMLHttpRequest, because fetch does not tell how much it has sent.
  const send = (method, url, body, sent) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.upload.addEventListener("progress", ({ loaded }) => sent(loaded));
      request.addEventListener("load", () => (request.status < 300 ? resolve() : reject(new Error(`the storage says ${request.status}`))));
      request.addEventListener("error", () => reject(new Error("the connection broke")));
      request.open(method, url);
      request.send(body);
    });
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  /** What is known of an upload that has begun with this very file, here or in a tab that is gone. */
  const memory = (file) => `upload ${file.name} ${file.size} ${file.lastModified}`;
  const recall = async (file) => {
    const known = JSON.parse(localStorage.getItem(memory(file)) ?? "null");
    if (!known) return null;
    try {
      return { ...known, ...(await step("/list", { upload: known.upload })) };
    } catch (error) {
      if (error.status >= 500) throw error;
      // Its time is over, or it was given up: it begins anew.
      localStorage.removeItem(memory(file));
      return null;
    }
  };

  const share = async (file) => {
    let begun = await recall(file);
    studio.dataset.resumed = begun ? begun.parts.length : 0;
    if (!begun) {
      begun = await step("", { name: file.name, type: file.type || "application/octet-stream", size: file.size });
      if (begun.form) {
        const form = new FormData();
        for (const [name, value] of begun.form.fields) form.append(name, value);
        form.append("file", file);
        await send("POST", begun.form.url, form, (loaded) => (progress.value = Math.min(loaded / file.size, 1)));
        return step("/complete", { upload: begun.upload });
      }
      localStorage.setItem(memory(file), JSON.stringify({ upload: begun.upload }));
      begun.missing = Array.from({ length: begun.parts }, (_, n) => n + 1);
      begun.parts = [];
    }
    const size = begun.part_size;
    const length = (number) => Math.min(size, file.size - (number - 1) * size);
    const sent = new Map(begun.parts.map((number) => [number, length(number)]));
    const show = () => (progress.value = [...sent.values()].reduce((sum, bytes) => sum + bytes, 0) / file.size);
    show();
    const waiting = [...begun.missing];
    const urls = new Map();
    let signing = Promise.resolve();
    // URLs end, so they are asked for shortly before they are used.
    const url_of = (number) => {
      signing = signing.catch(() => {}).then(async () => {
        if (urls.has(number)) return;
        const { parts } = await step("/parts", { upload: begun.upload, parts: [number, ...waiting.slice(0, BATCH - 1)] });
        for (const part of parts) urls.set(part.number, part.url);
      });
      return signing.then(() => urls.get(number));
    };
    const worker = async () => {
      for (let number = waiting.shift(); number; number = waiting.shift()) {
        for (let tried = 1; ; tried += 1) {
          try {
            const part = file.slice((number - 1) * size, (number - 1) * size + length(number));
            await send("PUT", await url_of(number), part, (loaded) => (sent.set(number, loaded), show()));
            sent.set(number, length(number));
            show();
            break;
          } catch (error) {
            sent.delete(number);
            // Perhaps its URL had ended.
            urls.delete(number);
            if (tried === TRIES || (error.status >= 400 && error.status < 500)) throw error;
            await pause(500 * 2 ** tried);
          }
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    for (let tried = 1; ; tried += 1) {
      try {
        const done = await step("/complete", { upload: begun.upload });
        localStorage.removeItem(memory(file));
        return done;
      } catch (error) {
        // The app or the storage may be back in a moment, and may be asked again.
        if (tried === TRIES || (error.status && error.status < 500)) throw error;
        await pause(500 * 2 ** tried);
      }
    }
  };

  studio.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file] = studio.elements.recording.files;
    button.disabled = true;
    progress.hidden = false;
    progress.value = 0;
    status.textContent = "Sending…";
    try {
      const { page } = await share(file);
      progress.value = 1;
      status.textContent = "It is there. ";
      const link = document.createElement("a");
      link.href = page;
      link.textContent = "Listen to it";
      status.append(link);
    } catch (error) {
      status.textContent = `It has stopped: ${error.message}. Share it again to go on.`;
    }
    button.disabled = false;
  });
}

// The player: what the site gives is a redirect to a URL that ends. Past its time the storage says 403 to the next part of the file. A browser tries that
// for a good while before it says so; the player knows how long its URL lasts, asks the site for another, and goes on where it was.
const player = document.getElementById("player");
if (player) {
  const status = player.parentElement.querySelector(".status");
  const address = player.getAttribute("src");
  const lasts = Number(player.dataset.lasts) * 1000;
  let [at, plays, renewing, renewed, asked] = [0, false, false, 0, Date.now()];
  for (const name of ["timeupdate", "seeking", "play", "pause"]) {
    player.addEventListener(name, () => {
      if (player.error || renewing) return;
      at = player.currentTime;
      plays = !player.paused;
    });
  }
  const renew = () => {
    if (renewing) return;
    const [to, goes_on] = [at, plays];
    renewing = true;
    renewed += 1;
    asked = Date.now();
    player.addEventListener(
      "loadedmetadata",
      () => {
        renewing = false;
        player.currentTime = to;
        player.dataset.renewed = renewed;
        if (goes_on) player.play();
      },
      { once: true },
    );
    player.src = `${address}&again=${renewed}`;
  };
  for (const name of ["waiting", "seeking"]) {
    player.addEventListener(name, () => {
      setTimeout(() => {
        const waits = player.seeking || player.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
        if (waits && Date.now() - asked > lasts) renew();
      }, 1000);
    });
  }
  player.addEventListener("error", () => {
    if (Date.now() - asked < 1000) {
      status.textContent = "It can’t be played now.";
      return;
    }
    renewing = false;
    renew();
  });
}
