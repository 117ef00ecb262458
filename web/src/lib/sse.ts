// Server-sent events out of text that arrives in pieces of any size. Pure.
export interface SseEvent {
  event: string;
  data: string;
  id?: string;
}

export interface SseReader {
  /** Events that are complete now. A comment, such as the heartbeat, completes nothing. */
  push(text: string): SseEvent[];
  /** Milliseconds the server asks to wait before coming back. */
  retryMs?: number;
}

export function sseReader(): SseReader {
  let rest = "";
  let event = "";
  let data: string[] = [];
  let id: string | undefined;
  const reader: SseReader = {
    push(text) {
      rest += text;
      const events: SseEvent[] = [];
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line !== "") {
          field(line);
          continue;
        }
        if (data.length) events.push({ event: event || "message", data: data.join("\n"), ...(id !== undefined && { id }) });
        event = "";
        data = [];
        id = undefined;
      }
      return events;
    },
  };
  function field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
    else if (name === "id") id = value;
    else if (name === "retry" && /^\d+$/.test(value)) reader.retryMs = Number(value);
  }
  return reader;
}
