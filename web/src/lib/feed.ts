// Keeps the page fed: a stream, taken up again where it broke off, or polling where streams do not get through.
//
// The stream is read with fetch and not with EventSource: it shows heartbeats and statuses, so that a silent
// connection is noticed and an ended link is told from a broken one.
import { sseReader } from "./sse";
import type { FeedEvent } from "./state";
import type { Ended, Poll } from "./wire";

export type FeedStatus = "connecting" | "live" | "waiting" | "offline" | "paused" | "ended";

export interface FeedWorld {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  setTimeout: (run: () => void, ms: number) => unknown;
  clearTimeout: (timer: never) => void;
  random: () => number;
  isOnline: () => boolean;
  isSeen: () => boolean;
}

export interface Feed {
  /** The page is hidden, or seen again: nothing is read while nobody looks. */
  setSeen(isSeen: boolean): void;
  /** The device lost its network, or has it again. */
  setOnline(isOnline: boolean): void;
  close(): void;
}

/** The server's heartbeat comes every 15 s: two of them missed, and a little. */
export const SILENCE_MS = 35_000;
/** A stream begins with the state at once; a proxy that holds it back is no way to stream. */
export const FIRST_BYTE_MS = 12_000;
export const POLL_MS = 5_000;
/** So many streams in a row without an event: then it polls, and tries a stream again after so many polls, then
 * after twice as many. Few at first: a server that was only restarted should not be polled for long. */
export const FAILURES_BEFORE_POLLING = 3;
export const FIRST_POLLS = 4;
const MOST_POLLS = 64;
const LONGEST_WAIT_MS = 30_000;
const ENDED: Record<number, Ended["reason"]> = { 403: "later", 404: "gone", 410: "expired" };

/** `base` is the link's own path, without a slash at its end. */
export function openFeed(
  base: string,
  world: FeedWorld,
  onEvent: (event: FeedEvent) => void,
  onStatus: (status: FeedStatus) => void,
): Feed {
  let cursor = "";
  let failures = 0; // in a row, of any kind: how long to wait
  let barren = 0; // streams in a row without an event: whether to poll
  let polls = 0; // left before a stream is tried again
  let pollsNext = FIRST_POLLS;
  let retryMs = 3000;
  let isSeen = world.isSeen();
  let isOnline = world.isOnline();
  let isEnded = false;
  let current: AbortController | null = null;
  let timer: unknown;

  const after = () => (cursor ? `?after=${encodeURIComponent(cursor)}` : "");
  const later = (ms: number, run: () => void) => {
    world.clearTimeout(timer as never);
    timer = world.setTimeout(run, ms);
  };

  function stop(): void {
    world.clearTimeout(timer as never);
    const controller = current;
    current = null;
    controller?.abort();
  }

  function end(reason: Ended["reason"]): void {
    isEnded = true;
    stop();
    onStatus("ended");
    onEvent({ type: "ended", data: { reason } });
  }

  function next(): void {
    stop();
    if (isEnded) return;
    if (!isSeen) return onStatus("paused");
    if (!isOnline) return onStatus("offline");
    const run = barren < FAILURES_BEFORE_POLLING || polls === 0 ? stream : poll;
    current = new AbortController();
    void run(current);
  }

  function failed(controller: AbortController, waitMs = 0): void {
    if (controller !== current) return;
    current = null;
    failures += 1;
    onStatus("waiting");
    const growing = Math.min(LONGEST_WAIT_MS, retryMs * 2 ** Math.min(failures - 1, 5));
    later(Math.max(waitMs, growing * (0.5 + world.random() / 2)), next);
  }

  /** False if the answer is no data: then what follows from it is under way. */
  function accepted(controller: AbortController, response: Response): boolean {
    if (controller !== current) return false;
    if (response.ok) return true;
    const reason = ENDED[response.status];
    if (reason) void ended(controller, response, reason);
    else failed(controller, 1000 * Number(response.headers.get("Retry-After") ?? 0) || 0);
    return false;
  }

  /** Two ends have one status: the answer tells them apart, where it comes whole and from the server itself. */
  async function ended(controller: AbortController, response: Response, reason: Ended["reason"]): Promise<void> {
    const body = await response.json().catch(() => null);
    if (controller === current) end(body?.reason === "arrived" ? "arrived" : reason);
  }

  async function stream(controller: AbortController): Promise<void> {
    onStatus("connecting");
    barren += 1;
    if (barren >= FAILURES_BEFORE_POLLING && polls === 0) {
      polls = pollsNext;
      pollsNext = Math.min(2 * pollsNext, MOST_POLLS);
    }
    later(FIRST_BYTE_MS, () => lost(controller));
    try {
      const response = await world.fetch(`${base}/stream${after()}`, request(controller, "text/event-stream"));
      if (!accepted(controller, response)) return;
      const reader = response.body!.pipeThrough(new TextDecoderStream() as never).getReader() as ReadableStreamDefaultReader<string>;
      const events = sseReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (controller !== current || done) break;
        later(SILENCE_MS, () => lost(controller));
        for (const event of events.push(value)) take(event);
        if (events.retryMs !== undefined) retryMs = events.retryMs;
        if (controller !== current) return;
      }
    } catch {
      // A broken connection is an everyday event: what follows is the same as after its end.
    }
    failed(controller);
  }

  function lost(controller: AbortController): void {
    failed(controller);
    controller.abort();
  }

  function take({ event, data, id }: { event: string; data: string; id?: string }): void {
    failures = barren = polls = 0;
    pollsNext = FIRST_POLLS;
    onStatus("live");
    if (id) cursor = id;
    const body = JSON.parse(data);
    if (event === "ended") end(body.reason);
    else if (event === "state" || event === "missed" || event === "update") onEvent({ type: event, data: body });
  }

  async function poll(controller: AbortController): Promise<void> {
    later(SILENCE_MS, () => lost(controller));
    try {
      const response = await world.fetch(`${base}/state${after()}`, request(controller, "application/json"));
      if (!accepted(controller, response)) return;
      const answer = (await response.json()) as Poll;
      if (controller !== current) return;
      cursor = answer.cursor;
      failures = 0;
      polls -= 1;
      onStatus("live");
      onEvent({ type: "poll", data: answer });
      later(answer.hasMore ? 0 : POLL_MS * (0.9 + world.random() / 5), next);
    } catch {
      failed(controller);
    }
  }

  next();
  return {
    setSeen(seen) {
      if (seen === isSeen) return;
      isSeen = seen;
      next();
    },
    setOnline(online) {
      if (online === isOnline) return;
      isOnline = online;
      if (online) failures = barren = polls = 0;
      next();
    },
    close() {
      isEnded = true;
      stop();
    },
  };
}

function request(controller: AbortController, accept: string): RequestInit {
  return { signal: controller.signal, headers: { Accept: accept }, cache: "no-store", credentials: "omit" };
}
