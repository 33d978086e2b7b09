// Numbers with their units, which are the end of their names: duration_s, sample_rate_hz.

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const tiny = new Intl.NumberFormat("en", { notation: "scientific", maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat("en");

export const count = (number) => whole.format(number);

const any = (value) => (value !== 0 && Math.abs(value) < 1e-4 ? tiny : plain).format(value);

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const minutes = Math.floor(seconds / 60);
  const rest = seconds - 60 * minutes;
  return `${minutes}:${rest.toFixed(1).padStart(4, "0")}`;
}

export function value(name, number) {
  if (typeof number === "boolean") return number ? "yes" : "no";
  if (typeof number !== "number") return String(number);
  if (name.endsWith("duration_s")) return number < 60 ? `${plain.format(number)} s` : duration(number);
  if (name.endsWith("_s") || name.endsWith("seconds")) return `${plain.format(number)} s`;
  if (name.endsWith("_hz")) return number >= 1000 ? `${plain.format(number / 1000)} kHz` : `${plain.format(number)} Hz`;
  if (name.endsWith("_lufs")) return `${number.toFixed(1)} LUFS`;
  if (name.endsWith("_db") || name.endsWith("_dbfs")) return `${number.toFixed(1)} dB`;
  if (name === "peak") return number > 0 ? `${number.toFixed(3)} (${(20 * Math.log10(number)).toFixed(1)} dBFS)` : "0";
  if (name === "bytes") return bytes(number);
  return Number.isInteger(number) ? whole.format(number) : any(number);
}

export function short(name, number) {
  if (name === "peak") return number.toFixed(3);
  if (name.endsWith("duration_s")) return number < 60 ? `${number.toFixed(2)} s` : duration(number);
  return value(name, number);
}

function bytes(number) {
  if (number < 1000) return `${number} bytes`;
  const power = Math.min(4, Math.floor(Math.log10(number) / 3));
  return `${plain.format(Number((number / 1000 ** power).toPrecision(3)))} ${["", "kB", "MB", "GB", "TB"][power]}`;
}

export function when(timestamp) {
  if (!timestamp) return "before";
  return new Date(1000 * timestamp).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export const label = (name) => name.replace(/_(s|hz|lufs|db|dbfs)$/, "").replaceAll("_", " ");
