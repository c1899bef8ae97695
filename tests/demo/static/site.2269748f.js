// What the pages do beyond HTMX: the live feed, the chat, the upload's progress. Each works on its own element and is silent
// where that is missing; nothing here is needed to read, listen, sign in or download.
"use strict";

// The feed on the home page: server-sent events, which the browser reconnects by itself.
const feed = document.getElementById("feed");
if (feed) {
  const text = feed.querySelector(".text");
  const source = new EventSource(feed.dataset.source);
  source.addEventListener("changed", (event) => {
    const { sequence, time } = JSON.parse(event.data);
    feed.dataset.count = Number(feed.dataset.count) + 1;
    feed.dataset.state = "live";
    text.textContent = `Change n° ${sequence}, at ${new Date(time).toLocaleTimeString()}`;
  });
  source.addEventListener("error", () => {
    feed.dataset.state = "waiting";
    text.textContent = "The line is quiet; trying again…";
  });
  // An open stream would keep the page out of the back/forward cache.
  addEventListener("pagehide", () => source.close());
}

// The chat: one WebSocket, opened again with a growing pause.
const chat = document.getElementById("chat");
if (chat) {
  const status = chat.querySelector(".status");
  const talk = chat.querySelector(".talk");
  const form = chat.querySelector("form");
  const [input, button] = [form.querySelector("input"), form.querySelector("button")];
  let socket;
  let pause = 500;

  const say = (who, words) => {
    const line = document.createElement("li");
    line.className = who;
    line.textContent = words;
    talk.append(line);
    line.scrollIntoView({ block: "nearest" });
  };
  const connect = () => {
    const address = new URL(chat.dataset.source, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    socket = new WebSocket(address);
    socket.addEventListener("open", () => {
      pause = 500;
      chat.dataset.state = "live";
      status.textContent = "Connected.";
      input.disabled = button.disabled = false;
    });
    socket.addEventListener("message", (event) => say("them", event.data));
    socket.addEventListener("close", () => {
      chat.dataset.state = "waiting";
      status.textContent = "Not connected; trying again…";
      input.disabled = button.disabled = true;
      setTimeout(connect, pause);
      pause = Math.min(pause * 2, 15000);
    });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    socket.send(input.value);
    say("me", input.value);
    form.reset();
  });
  connect();
}

// The upload: XMLHttpRequest, because fetch does not tell how much it has sent.
const upload = document.getElementById("upload");
if (upload) {
  const [progress, status, result] = ["progress", ".status", ".result"].map((name) => upload.querySelector(name));
  upload.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = upload.elements.file.files;
    const request = new XMLHttpRequest();
    const button = upload.querySelector("button");
    button.disabled = true;
    progress.hidden = false;
    progress.value = 0;
    result.hidden = true;
    status.textContent = "Sending…";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      progress.value = total ? loaded / total : 0;
    });
    request.addEventListener("loadend", () => {
      button.disabled = false;
      if (request.status !== 200) {
        status.textContent = request.status ? `Refused: ${request.response?.error ?? request.status}.` : "The connection broke.";
        return;
      }
      progress.value = 1;
      status.textContent = "Arrived.";
      for (const field of result.querySelectorAll("[data-field]")) {
        field.textContent = request.response[field.dataset.field];
      }
      result.hidden = false;
    });
    request.open("POST", upload.getAttribute("action"));
    request.responseType = "json";
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.send(file);
  });
}
