// Server-sent events by fetch: as EventSource, but with a token in a header, and with a word about what is wrong.
const SILENCE = 40000, FIRST = 500, LONGEST = 15000;

// `on` has: event(name, data), state(text, problem), denied(sentence). Answers a function that ends it.
export function follow(address, token, on) {
  let last = "", pause = FIRST, ended = false, abort = null, timer = 0;

  const later = (text) => {
    if (ended) return;
    const wait = pause * (0.75 + Math.random() / 2);
    pause = Math.min(LONGEST, pause * 2);
    on.state(text, true);
    timer = setTimeout(run, wait);
  };

  async function run() {
    abort = new AbortController();
    const mine = abort;
    let watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => mine.abort(), SILENCE);
    };
    try {
      alive();
      const headers = { Accept: "text/event-stream" };
      if (last) headers["Last-Event-ID"] = last;
      if (token) headers.Authorization = `Bearer ${token}`;
      const answer = await fetch(address, { headers, signal: mine.signal, cache: "no-store", credentials: "omit" });
      if (!answer.ok) {
        const told = await answer.json().catch(() => ({}));
        const sentence = told.sentence || `The controller answers ${answer.status}.`;
        if (answer.status === 401 || answer.status === 403) {
          ended = true;
          on.denied(sentence, answer.status);
          return;
        }
        throw new Error(sentence);
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        alive();
        rest += value;
        const parts = rest.split("\n\n");
        rest = parts.pop();
        for (const part of parts) take(part);
      }
      later("Connection lost, trying again…");
    } catch (error) {
      if (!ended) later(error.name === "Error" ? `${error.message} Trying again…` : "Connection lost, trying again…");
    } finally {
      clearTimeout(watchdog);
    }
  }

  function take(part) {
    let name = "message", data = "", id = null;
    for (const line of part.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data = line.slice(6);
      else if (line.startsWith("id: ")) id = line.slice(4);
    }
    if (!data || ended) return;
    pause = FIRST;
    on.state("Live", false);
    on.event(name, JSON.parse(data));
    if (id !== null) last = id;
  }

  run();
  return () => {
    ended = true;
    clearTimeout(timer);
    if (abort) abort.abort();
  };
}
