// The list: what is asked for stands in the address, so a link or a reload shows the same.

import { $, ask, el, fill, options, png } from "./dom.js";
import * as details from "./details.js";
import { count, label, short } from "./format.js";
import * as player from "./player.js";

const A_PAGE = 50;
const GLYPHS = { materialized: "✓", stale: "~", missing: "·", blocked: "–", failed: "✕" };
const PREFERRED = ["duration_s", "loudness_lufs", "peak", "bpm", "tempo"];
const FIXED = [["entity", "id"], ["state", "state"], ["time", "last attempt"]];

const view = { text: "", state: "", asset: "", where: [], sort: "entity", descending: false, offset: 0, entity: null, catalogue: "" };
let summary = null;
let page = { rows: [], matching: 0, offset: 0 };
let asked = 0;

// ---------------------------------------------------------------- the address

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of ["text", "state", "asset", "catalogue"]) view[name] = given.get(name) ?? "";
  view.sort = given.get("sort") || "entity";
  view.descending = given.get("descending") === "1";
  view.offset = Math.max(0, Number.parseInt(given.get("offset"), 10) || 0);
  view.entity = given.get("entity");
  try {
    view.where = JSON.parse(given.get("where") ?? "[]");
  } catch {
    view.where = [];
  }
}

function query() {
  const { text, state, asset, where, sort, descending, offset } = view;
  return { catalogue: summary.catalogue, text, state, asset, where: JSON.stringify(where), sort, descending: descending ? "1" : "", offset, limit: A_PAGE };
}

function writeAddress() {
  const wanted = { ...query(), entity: view.entity ?? "" };
  delete wanted.limit;
  if (summary.catalogues.length < 2) delete wanted.catalogue;
  const kept = Object.entries(wanted).filter(([name, text]) => text !== "" && text !== 0 && text !== "[]" && !(name === "sort" && text === "entity"));
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

// ---------------------------------------------------------------- asking

const notice = (text, isBad = false) => {
  $("notice").textContent = text;
  $("notice").classList.toggle("error", isBad);
};

async function look() {
  try {
    const before = summary?.number;
    summary = await ask("api/summary", { catalogue: view.catalogue });
    player.useCatalogue(summary.catalogue);
    showSummary();
    if (summary.number !== before) await list({ keep: before !== undefined });
  } catch (problem) {
    notice(problem.message, true);
  }
  setTimeout(look, summary?.is_known ? 4000 : 700);
}

async function list({ keep = false } = {}) {
  const mine = ++asked;
  $("rows").setAttribute("aria-busy", "true");
  try {
    const found = await ask("api/page", query());
    if (mine !== asked) return;
    page = found;
    if (!page.rows.length && page.matching) {
      view.offset = Math.max(0, A_PAGE * Math.floor((page.matching - 1) / A_PAGE));
      await list({ keep });
      return;
    }
    if (!keep && !page.rows.some((row) => row.entity === view.entity)) view.entity = page.rows[0]?.entity ?? null;
    writeAddress();
    showList();
    await details.show(summary, view.entity);
  } catch (problem) {
    if (mine === asked) notice(problem.message, true);
  } finally {
    if (mine === asked) $("rows").removeAttribute("aria-busy");
  }
}

// ---------------------------------------------------------------- what holds for all

function showSummary() {
  document.title = `${summary.catalogue} · klio view`;
  $("catalogue").textContent = `${summary.catalogue} `;
  $("catalogue").append(el("small", {}, count(summary.entities)));
  $("dagster").href = summary.dagster;
  $("catalogues").hidden = summary.catalogues.length < 2;
  options($("catalogues"), summary.catalogues.map((name) => [name, name]));
  $("catalogues").value = summary.catalogue;
  const keys = summary.assets.map(({ key }) => [key, key]);
  options($("asset"), [["", "of any asset"], ...keys]);
  const numbers = preferredFirst(summary.numbers).map((name) => [name, name]);
  options($("field"), numbers.length ? numbers : [["", "number"]]);
  options($("sort"), [...FIXED, ...numbers]);
  fill($("counts"), summary.assets.map(({ key }) => counts(key)));
  showControls();
  if (summary.problem) notice(summary.problem, true);
  else notice(summary.is_known ? "" : "reading the ledger …");
}

function preferredFirst(names) {
  const rank = (name) => PREFERRED.findIndex((end) => name.endsWith(`.${end}`)) >>> 0; // -1 is last
  return [...names].sort((one, other) => rank(one) - rank(other));
}

function counts(key) {
  const known = summary.counts[key] ?? {};
  const shown = ["failed", "missing", "stale"].filter((state) => known[state]);
  const pick = (state) => () => change({ state, asset: state ? key : "" });
  return el(
    "span",
    { class: "count" },
    el("button", { type: "button", title: `${key}: all`, onclick: pick("") }, key, " ", el("b", {}, known.materialized === undefined ? "" : count(known.materialized))),
    shown.map((state) => el("button", { type: "button", class: state, title: `${key}: ${state}`, onclick: pick(state) }, `${count(known[state])} ${state}`)),
  );
}

function showControls() {
  for (const name of ["state", "asset", "sort"]) $(name).value = view[name];
  if (document.activeElement !== $("text")) $("text").value = view.text;
  $("direction").textContent = view.descending ? "↓" : "↑";
  fill($("bounds"), view.where.map((bound, place) => {
    const gone = view.where.filter((_, other) => other !== place);
    return el("button", { type: "button", class: "chip", title: "Remove", onclick: () => change({ where: gone }) }, `${bound.join(" ")} ×`);
  }));
}

// ---------------------------------------------------------------- the list

function columns() {
  const named = new Set(summary.numbers);
  for (const row of page.rows) {
    for (const [key, asset] of Object.entries(row.assets)) for (const name in asset.numbers ?? {}) named.add(`${key}.${name}`);
  }
  const wanted = [...view.where.map(([name]) => name), view.sort];
  const preferred = PREFERRED.map((end) => [...named].find((name) => name.endsWith(`.${end}`)));
  return [...new Set([...preferred, ...wanted])].filter((name) => named.has(name)).slice(0, 5);
}

const soundsOf = (row) => summary.assets
  .filter(({ key, codec }) => codec === "audio" && row.assets[key]?.figures)
  .map(({ key }) => details.soundOf(key, row.entity, row.assets[key]));

function numberOf(row, field) {
  const asset = summary.assets.find(({ key }) => field.startsWith(`${key}.`) && field.slice(key.length + 1) in (row.assets[key]?.numbers ?? {}));
  const name = asset && field.slice(asset.key.length + 1);
  return asset ? short(name, row.assets[asset.key].numbers[name]) : "";
}

function showList() {
  const shown = columns();
  $("list").style.setProperty("--numbers", shown.length);
  $("list").style.setProperty("--states", summary.assets.length);
  fill($("head"), el("span", {}), el("span", {}, "id"), el("span", {}, "sound"), el("span", {}), shown.map(heading));
  fill($("rows"), page.rows.map((row) => line(row, shown)));
  if (!page.rows.length) fill($("rows"), el("p", { class: "quiet empty" }, summary.entities ? "Nothing matches." : "The catalogue is empty: klio entities sync"));
  const last = page.offset + page.rows.length;
  $("where").textContent = page.matching ? `${count(page.offset + 1)} – ${count(last)} of ${count(page.matching)}` : "";
  $("before").disabled = page.offset === 0;
  $("after").disabled = last >= page.matching;
  $("failed").disabled = !summary.failed;
  $("failed").textContent = summary.failed ? `next of ${count(summary.failed)} failed` : "nothing failed";
  mark();
  player.refresh();
}

function heading(field) {
  const turn = () => change({ sort: field, descending: view.sort === field ? !view.descending : true });
  const arrow = view.sort === field ? (view.descending ? " ↓" : " ↑") : "";
  return el("button", { type: "button", class: "number", title: field, onclick: turn }, label(field.slice(field.lastIndexOf(".") + 1)) + arrow);
}

function line(row, shown) {
  const [sound] = soundsOf(row);
  const others = summary.assets.filter(({ key }) => key !== sound?.asset).flatMap(({ key }) => Object.entries(row.assets[key]?.figures ?? {}));
  const error = Object.values(row.assets).map(({ error: said }) => said).find(Boolean);
  const made = el(
    "div",
    { class: "row", role: "option", data: { entity: row.entity } },
    el("span", { class: "states" }, summary.assets.map(({ key }) => {
      const state = row.assets[key]?.state ?? "missing";
      return el("span", { class: `state ${state}`, title: `${key}: ${state}` }, GLYPHS[state]);
    })),
    el("span", { class: sound || others.length ? "id" : "id wide" }, el("span", { title: row.entity }, row.entity), error ? el("small", { class: "error", title: error }, error) : null),
    sound ? player.wave(sound) : el("span", { hidden: !others.length }),
    el("span", { class: "other", hidden: !sound && !others.length }, others.slice(0, 1).map(([name, figure]) => png(figure, name))),
    shown.map((field) => el("span", { class: "number" }, numberOf(row, field))),
  );
  made.addEventListener("click", () => select(row.entity));
  made.addEventListener("dblclick", () => sound && player.play(sound));
  return made;
}

function mark() {
  for (const each of $("rows").children) {
    const chosen = each.dataset.entity === view.entity;
    each.setAttribute("aria-selected", String(chosen));
    if (chosen) each.scrollIntoView({ block: "nearest" });
  }
}

// ---------------------------------------------------------------- doing

const selected = () => page.rows.find((row) => row.entity === view.entity) ?? null;

function select(entity) {
  if (entity === view.entity) return;
  view.entity = entity;
  writeAddress();
  mark();
  const row = selected();
  const [sound] = row ? soundsOf(row) : [];
  if (sound && player.isPlaying() && !player.isLoaded(sound)) player.play(sound);
  details.show(summary, entity).catch((problem) => notice(problem.message, true));
}

function change(what) {
  Object.assign(view, { offset: 0 }, what);
  showControls();
  return list();
}

async function turn(pages, entity = null) {
  view.entity = entity;
  await change({ offset: Math.max(0, page.offset + pages * A_PAGE) });
}

async function step(by) {
  const here = page.rows.findIndex((row) => row.entity === view.entity);
  const next = page.rows[here + by];
  if (next) return select(next.entity);
  const playing = player.isPlaying();
  if (by > 0 && page.offset + page.rows.length < page.matching) await turn(1);
  else if (by < 0 && page.offset > 0) {
    await turn(-1);
    select(page.rows.at(-1).entity);
  } else return;
  const [sound] = selected() ? soundsOf(selected()) : [];
  if (playing && sound) player.play(sound);
}

async function failed(direction) {
  const found = await ask(`api/${direction}-failed`, { ...query(), entity: view.entity ?? "" });
  if (found.entity === null) return notice("none of these failed");
  const offset = A_PAGE * Math.floor(found.offset / A_PAGE);
  if (offset === page.offset) return select(found.entity);
  view.entity = found.entity;
  await change({ offset });
}

const playSelected = () => player.toggle(selected() ? soundsOf(selected())[0] ?? null : null);

const KEYS = {
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  ArrowRight: () => player.skip(5),
  ArrowLeft: () => player.skip(-5),
  " ": playSelected,
  n: () => failed("next"),
  p: () => failed("previous"),
  "/": () => $("text").focus(),
  a: () => $("advance").click(),
  o: () => view.entity !== null && window.open(details.partitionPage(summary.dagster, summary.assets[0].key, view.entity), "_blank", "noopener"),
  "?": () => $("keys").showModal(),
};

function pressed(event) {
  const typing = event.target.closest("input:not([type=checkbox]), select, dialog");
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing || !summary || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.closest("button, summary, a") && !event.target.closest("#rows")) return;
  const act = /^[1-9]$/.test(event.key) ? () => player.seek(Number(event.key) / 10) : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  Promise.resolve(act()).catch((problem) => notice(problem.message, true));
}

function start() {
  readAddress();
  let waiting = 0;
  $("text").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change({ text: $("text").value }), 150);
  });
  for (const name of ["state", "asset"]) $(name).addEventListener("change", () => change({ [name]: $(name).value }));
  $("sort").addEventListener("change", () => change({ sort: $("sort").value }));
  $("direction").addEventListener("click", () => change({ descending: !view.descending }));
  $("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = $("value").valueAsNumber;
    if ($("field").value && Number.isFinite(value)) change({ where: [...view.where, [$("field").value, $("comparison").value, value]] });
    $("value").value = "";
  });
  $("catalogues").addEventListener("change", () => {
    location.hash = new URLSearchParams({ catalogue: $("catalogues").value });
    location.reload();
  });
  $("before").addEventListener("click", () => turn(-1));
  $("after").addEventListener("click", () => turn(1));
  $("failed").addEventListener("click", () => failed("next"));
  $("help").addEventListener("click", KEYS["?"]);
  document.addEventListener("keydown", pressed);
  window.addEventListener("hashchange", () => { readAddress(); if (summary) { showControls(); list({ keep: true }); } });
  player.start({
    ended: () => $("advance").checked && next(),
    failed: (sound) => sound && notice(`${sound.entity}: its ${sound.asset} cannot be played; is it still in the store?`, true),
  });
  look();
}

async function next() {
  await step(1);
  const [sound] = selected() ? soundsOf(selected()) : [];
  if (sound && !player.isLoaded(sound)) player.play(sound);
}

start();
