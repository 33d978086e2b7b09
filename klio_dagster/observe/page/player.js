// One <audio> for the whole page; every waveform of what it plays shows how far it is.

import { $, el, png } from "./dom.js";
import { duration } from "./format.js";

const audio = $("audio");
let loaded = null; // {asset, entity, version, figure, length}
let wanted = null; // part of the length to begin at, once that is known
let catalogue = "";

export const keyOf = (sound) => JSON.stringify([sound.asset, sound.entity]);
export const isLoaded = (sound) => loaded !== null && sound !== null && keyOf(loaded) === keyOf(sound);
export const isPlaying = () => !audio.paused && !audio.ended;
export const useCatalogue = (name) => { catalogue = name; };

export function address(sound) {
  // The version makes a recomputed output another address; the server knows it by asset and id.
  const { asset, entity, version } = sound;
  return `output?${new URLSearchParams({ catalogue, asset, entity, version })}`;
}

export function wave(sound) {
  const made = el("div", { class: "wave", data: { sound: keyOf(sound) }, title: "play from here" });
  if (sound.figure) {
    made.append(png(sound.figure, "waveform"), el("div", { class: "played" }, png(sound.figure, "")));
  } else {
    made.append(el("div", { class: "plain" }), el("div", { class: "played plain" }));
  }
  made.addEventListener("click", (event) => {
    const box = made.getBoundingClientRect();
    play(sound, Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
  });
  return made;
}

export function play(sound, part = null) {
  if (!isLoaded(sound) || loaded.version !== sound.version) {
    loaded = sound;
    audio.src = address(sound);
    $("player").hidden = false;
    $("now").replaceChildren(el("b", {}, sound.entity), el("span", {}, sound.asset));
    $("track").replaceChildren(wave(sound));
    wanted = part;
  } else if (part !== null) seek(part);
  else if (audio.ended) audio.currentTime = 0;
  audio.play().catch(() => {}); // what is wrong is told by the event "error"
}

export function toggle(sound) {
  if (isLoaded(sound) && isPlaying()) audio.pause();
  else if (sound) play(sound);
}

export function seek(part) {
  if (Number.isFinite(audio.duration)) audio.currentTime = part * audio.duration;
  else wanted = part;
}

export function skip(seconds) {
  audio.currentTime = Math.max(0, audio.currentTime + seconds);
}

function show() {
  const length = Number.isFinite(audio.duration) ? audio.duration : loaded?.length;
  const part = length ? audio.currentTime / length : 0;
  const key = loaded ? keyOf(loaded) : "";
  for (const each of document.querySelectorAll(".wave")) {
    const mine = each.dataset.sound === key;
    each.classList.toggle("loaded", mine);
    if (mine) each.style.setProperty("--played", part.toFixed(4));
  }
  for (const each of document.querySelectorAll("[data-plays]")) {
    const mine = each.dataset.plays === key && isPlaying();
    each.classList.toggle("playing", mine);
  }
  $("play").classList.toggle("playing", isPlaying());
  $("play").setAttribute("aria-label", isPlaying() ? "Pause" : "Play");
  $("time").textContent = `${duration(audio.currentTime)} / ${duration(length)}`;
}

export function refresh() {
  show();
}

function follow() {
  show();
  if (isPlaying()) requestAnimationFrame(follow);
}

export function start({ ended, failed }) {
  audio.addEventListener("loadedmetadata", () => {
    if (wanted !== null) seek(wanted);
    wanted = null;
    show();
  });
  for (const name of ["pause", "seeked", "emptied"]) audio.addEventListener(name, show);
  audio.addEventListener("playing", follow);
  audio.addEventListener("ended", () => { show(); ended(); });
  audio.addEventListener("error", () => failed(loaded));
  $("play").addEventListener("click", () => toggle(loaded));
}
