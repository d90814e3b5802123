// Times and numbers for people. The clock is the API server's: the browser's may be wrong.
let ahead = 0;
export const setNow = (server) => { ahead = server * 1000 - Date.now(); };
export const now = () => (Date.now() + ahead) / 1000;

export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole}s`;
  const minutes = Math.floor(whole / 60), rest = whole % 60;
  if (minutes < 10) return rest ? `${minutes}m${rest}s` : `${minutes}m`;
  if (minutes < 120) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 10) return minutes % 60 ? `${hours}h${minutes % 60}m` : `${hours}h`;
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}

const clockFormat = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat([], { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const clock = (at) => clockFormat.format(new Date(at * 1000));
export const day = (at) => dayFormat.format(new Date(at * 1000));
export const iso = (at) => new Date(at * 1000).toISOString();

export function number(value) {
  if (value === null || value === undefined) return "no value";
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e6 || size < 1e-3) ? value.toPrecision(3) : String(+value.toPrecision(5));
}

export function bounds(metric) {
  const parts = [];
  if (metric.low !== null) parts.push(`≥ ${number(metric.low)}`);
  if (metric.high !== null) parts.push(`≤ ${number(metric.high)}`);
  return parts.join(" and ") || "any value";
}
