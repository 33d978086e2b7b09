// Everything that is known of one entity.

import { $, ask, el, fill, link, png } from "./dom.js";
import { count, label, value, when } from "./format.js";
import { address, keyOf, refresh, toggle, wave } from "./player.js";

const WOULD = { run: "compute it", skip: "skip it", wait: "wait for it", fail: "fail", refuse: "refuse it" };

let shown = 0; // of several answers only the last one asked for counts

export function partitionPage(dagster, asset, entity) {
  const path = asset.split("/").map(encodeURIComponent).join("/");
  return `${dagster}/assets/${path}?view=partitions&partition=${encodeURIComponent(entity)}`;
}

const runPage = (dagster, run) => `${dagster}/runs/${encodeURIComponent(run)}`;

export function soundOf(asset, entity, output) {
  return {
    asset,
    entity,
    version: output.version,
    figure: output.figures.waveform ?? Object.values(output.figures)[0],
    length: output.metadata?.duration_s ?? output.numbers?.duration_s,
  };
}

export async function show(summary, entity) {
  const mine = ++shown;
  const pane = $("details");
  if (entity === null) {
    fill(pane, el("p", { class: "quiet" }, "Nothing is selected."));
    return;
  }
  const catalogue = summary.catalogue;
  const told = await ask("api/entity", { catalogue, entity });
  if (mine !== shown) return;
  const why = new Map(told.assets.map((each) => [each.asset, el("div", { class: "why quiet" }, "…")]));
  fill(
    pane,
    el("h2", {}, entity),
    told.assets.map((each) => section(summary, entity, each, why.get(each.asset))),
  );
  refresh();
  explain(catalogue, entity, why, mine);
}

async function explain(catalogue, entity, why, mine) {
  try {
    for (const each of await ask("api/explain", { catalogue, entity })) {
      if (mine !== shown) return;
      const place = why.get(each.asset);
      if (!place) continue;
      const decided = `A run would ${WOULD[each.decision]}: ${each.reason.replaceAll("_", " ")}`;
      fill(place, el("b", {}, decided), each.facts.map((fact) => el("p", {}, fact)));
    }
  } catch (problem) {
    for (const place of why.values()) fill(place, problem.message);
  }
}

function section(summary, entity, told, why) {
  const dagster = summary.dagster;
  const { asset, output, failure } = told;
  return el(
    "section",
    { data: { asset } },
    el(
      "h3",
      {},
      el("span", { class: `state ${told.state}`, title: told.state }),
      el("span", { title: summary.assets.find(({ key }) => key === asset)?.about }, asset),
      el("small", {}, told.state),
      el("span", { class: "space" }),
      link("partition", partitionPage(dagster, asset, entity)),
    ),
    failure ? failed(dagster, failure) : null,
    output ? made(summary, entity, asset, output, failure !== null) : null,
    el("details", { open: told.state !== "materialized" }, el("summary", {}, "why would it run?"), why),
  );
}

function failed(dagster, failure) {
  if (failure.kind === "upstream_failed") return el("p", { class: "quiet" }, failure.error.replace("upstream_failed: ", ""));
  const parts = [el("p", { class: "error" }, failure.error || failure.kind)];
  if (failure.reproduce) parts.push(command(failure.reproduce));
  if (failure.traceback) {
    parts.push(el("details", {}, el("summary", {}, "traceback"), el("pre", {}, failure.traceback)));
  }
  const run = failure.run_id ? link("run", runPage(dagster, failure.run_id)) : null;
  parts.push(el("p", { class: "quiet" }, `failed ${when(failure.timestamp)} `, run));
  return el("div", { class: "failure" }, parts);
}

function command(text) {
  const copy = el("button", { type: "button", title: "Copy" }, "copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "copied";
  });
  // A line ends between words only, never within `--debug`.
  const words = text.split(" ").flatMap((word) => [" ", el("span", { class: "word" }, word)]).slice(1);
  return el("div", { class: "command" }, el("code", {}, words), copy);
}

function made(summary, entity, asset, output, isOld) {
  const dagster = summary.dagster;
  const sound = output.codec === "audio" ? soundOf(asset, entity, output) : null;
  const pictures = Object.entries(output.figures).filter(([, figure]) => !sound || figure !== sound.figure);
  const rows = Object.entries(output.metadata);
  const inputs = Object.entries(output.inputs);
  return el(
    "div",
    {},
    isOld ? el("p", { class: "quiet" }, "The last one that worked:") : null,
    sound ? player(sound) : null,
    pictures.map(([name, figure]) => el("figure", {}, png(figure, name), el("figcaption", {}, name))),
    rows.length ? table(rows.map(([name, each]) => [label(name), value(name, each), name])) : null,
    ["table", "json"].includes(output.codec) ? contents(summary.catalogue, asset, entity, output) : null,
    el(
      "details",
      {},
      el("summary", {}, "where it comes from"),
      table([
        ["made", when(output.timestamp)],
        ["run", output.run_id ? link(output.run_id, runPage(dagster, output.run_id)) : ""],
        ["code version", output.code_version],
        ["data version", output.version],
        ...inputs.map(([name, version]) => [`from ${name}`, version]),
        ["lies at", output.uri],
        ["file", el("a", { href: address({ asset, entity, version: output.version }) }, "download")],
      ]),
    ),
  );
}

function player(sound) {
  const button = el("button", { class: "play", type: "button", "aria-label": `Play ${sound.asset}`, data: { plays: keyOf(sound) } });
  button.addEventListener("click", () => toggle(sound));
  return el("div", { class: "sound" }, button, wave(sound));
}

function table(rows) {
  return el(
    "table",
    {},
    rows.map(([name, shownValue, title]) => el("tr", {}, el("th", { title }, name), el("td", {}, shownValue))),
  );
}

function contents(catalogue, asset, entity, output) {
  const place = el("div", { class: "contents" }, "…");
  const opened = el("details", {}, el("summary", {}, output.codec === "table" ? "columns and rows" : "content"), place);
  opened.addEventListener("toggle", async () => {
    if (!opened.open || place.textContent !== "…") return;
    try {
      fill(place, preview(await ask("api/preview", { catalogue, asset, entity })));
    } catch (problem) {
      fill(place, problem.message);
    }
  });
  return opened;
}

function preview(told) {
  if (told.text !== undefined) return el("pre", {}, told.is_cut ? `${told.text} …` : told.text);
  if (!told.columns) return el("p", {}, "too large to be shown here");
  const head = told.columns.map(({ name, type }) => el("th", {}, name, el("small", {}, type)));
  const rows = told.rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell))));
  const more = told.of > told.rows.length ? el("p", { class: "quiet" }, `${count(told.of)} rows in all`) : null;
  return [el("div", { class: "scroll" }, el("table", { class: "data" }, el("tr", {}, head), rows)), more];
}
