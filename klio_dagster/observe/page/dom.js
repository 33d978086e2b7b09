// Elements out of text nodes: nothing that comes from outside is ever parsed as HTML.

export const $ = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

export function png(base64, name) {
  return el("img", { src: `data:image/png;base64,${base64}`, alt: name, draggable: "false" });
}

export function link(text, href) {
  return el("a", { href, target: "_blank", rel: "noopener" }, text);
}

export function options(select, pairs) {
  const chosen = select.value;
  fill(select, pairs.map(([value, text]) => el("option", { value }, text)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

export class Problem extends Error {}

export async function ask(path, parameters = {}) {
  let answer;
  try {
    answer = await fetch(`${path}?${new URLSearchParams(parameters)}`);
  } catch {
    throw new Problem("klio view has ended; start it again");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Problem(said.problem);
  return said;
}
