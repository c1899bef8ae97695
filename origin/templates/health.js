(() => {
  const status = document.getElementById("status"), heard = document.getElementById("heard"), live = document.getElementById("live");
  const again = () => setTimeout(() => location.reload(), 60000);
  if (!window.EventSource) return again();
  const say = (on, text) => { live.dataset.live = on ? "on" : "off"; live.textContent = text; };
  const events = new EventSource("/health/events");
  events.onopen = () => say(true, "Live");
  events.addEventListener("status", (event) => {
    const was = status.querySelector("h1").textContent;
    const inside = status.contains(document.activeElement);
    if (inside) return;
    status.innerHTML = event.data;
    const is = status.querySelector("h1").textContent;
    if (is !== was) heard.textContent = is;
    document.title = document.title.replace(/^[^·]*/, status.querySelector(".word b").textContent + " ");
  });
  events.onerror = () => {
    say(false, events.readyState === 2 ? "Updates every minute" : "Connecting");
    if (events.readyState === 2) again();
  };
})();
