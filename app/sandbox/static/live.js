// Brings the parts marked data-live up to date every two seconds, unless a person is busy in them.
const parser = new DOMParser();
const last = new Map();
async function refresh() {
  if (document.hidden) return;
  const parts = [...document.querySelectorAll("[data-live][id]")];
  if (!parts.length) return;
  const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = parser.parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const fresh = page.getElementById(part.id);
    if (!fresh) continue;
    const before = last.get(part.id) ?? part.innerHTML;
    last.set(part.id, fresh.innerHTML);
    if (before === fresh.innerHTML || part.contains(document.activeElement)) continue;
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    part.innerHTML = fresh.innerHTML;
    part.querySelectorAll("details").forEach((one, at) => { if (at < open.length) one.open = open[at]; });
  }
}
setInterval(() => refresh().catch(() => {}), 2000);
