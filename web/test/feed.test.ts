import { beforeEach, describe, expect, test, vi } from "vitest";
import { FIRST_BYTE_MS, FIRST_POLLS, type FeedStatus, type FeedWorld, openFeed, POLL_MS, SILENCE_MS } from "../src/lib/feed";
import type { FeedEvent } from "../src/lib/state";

/** A stream that the test writes to, and which ends with its request. */
class Body {
  private controller!: ReadableStreamDefaultController<Uint8Array>;
  readonly response: Response;

  constructor(signal: AbortSignal) {
    this.response = new Response(new ReadableStream({ start: (controller) => void (this.controller = controller) }));
    signal.addEventListener("abort", () => this.break());
  }

  write(text: string): void {
    this.controller.enqueue(new TextEncoder().encode(text));
  }

  break(): void {
    try {
      this.controller.error(new Error("broken"));
    } catch {
      // Broken already.
    }
  }
}

const POLL = { state: {}, missed: {}, cursor: "p1", hasMore: false };
const update = (id: string) => `id: ${id}\nevent: update\ndata: {"now":1,"assets":[],"gone":[]}\n\n`;

let urls: string[];
let bodies: Body[];
let events: FeedEvent[];
let statuses: FeedStatus[];
/** What the next requests get; a stream that stays open if there is none. */
let answers: (Response | "refused" | undefined)[];
let isSeen: boolean;

function open() {
  const world: FeedWorld = {
    fetch: async (url, init) => {
      urls.push(url);
      const answer = answers.shift();
      if (answer === "refused") throw new TypeError("no network");
      if (answer) return answer;
      if (url.includes("/state")) return Response.json(POLL);
      const body = new Body(init.signal!);
      bodies.push(body);
      return body.response;
    },
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    random: () => 1,
    isOnline: () => true,
    isSeen: () => isSeen,
  };
  return openFeed("/v/key", world, (event) => events.push(event), (status) => statuses.push(status));
}

/** Lets promises run, then the timers of so many milliseconds. */
const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

async function write(text: string): Promise<void> {
  bodies.at(-1)!.write(text);
  await settle();
}

/** Streams pass through several queues, which are no timers. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((done) => setImmediate(done));
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  [urls, bodies, events, statuses, answers, isSeen] = [[], [], [], [], [], true];
});

describe("a feed", () => {
  test("streams, and comes back with the newest cursor after a break", async () => {
    open();
    await pass();
    await write(update("c1") + update("c2"));
    expect(events).toHaveLength(2);
    bodies[0].break();
    await settle();
    await pass(3000);
    expect(urls).toEqual(["/v/key/stream", "/v/key/stream?after=c2"]);
  });

  test("takes heartbeats for life, and silence for a broken connection", async () => {
    open();
    await pass();
    await write(update("c1"));
    await pass(SILENCE_MS - 1000);
    await write(": beat\n\n");
    await pass(SILENCE_MS - 1000);
    expect(urls).toHaveLength(1);
    await pass(1000 + 3000);
    expect(urls).toHaveLength(2);
  });

  test.each([[404, "gone"], [410, "expired"], [403, "later"]] as const)("knows by %i that the link is %s, and asks no more", async (status, reason) => {
    answers = [new Response("{}", { status })];
    open();
    await pass(10 * SILENCE_MS);
    expect(events).toEqual([{ type: "ended", data: { reason } }]);
    expect(statuses.at(-1)).toBe("ended");
    expect(urls).toHaveLength(1);
  });

  test("tells from the answer that a link ended because it has arrived", async () => {
    answers = [Response.json({ reason: "arrived" }, { status: 410 })];
    open();
    await pass(10 * SILENCE_MS);
    expect(events).toEqual([{ type: "ended", data: { reason: "arrived" } }]);
    expect(urls).toHaveLength(1);
  });

  test("ends with the event that says so", async () => {
    open();
    await pass();
    await write('event: ended\ndata: {"reason":"gone"}\n\n');
    await pass(10 * SILENCE_MS);
    expect(events).toEqual([{ type: "ended", data: { reason: "gone" } }]);
    expect(urls).toHaveLength(1);
  });

  test("waits longer with each failure, and as long as it is told", async () => {
    answers = ["refused", new Response("", { status: 503, headers: { "Retry-After": "20" } })];
    open();
    await pass(3000);
    expect(urls).toHaveLength(2);
    await pass(19_000);
    expect(urls).toHaveLength(2);
    await pass(1000);
    expect(urls).toHaveLength(3);
  });

  test("polls where streams give nothing, and tries a stream again after a few polls", async () => {
    open();
    await pass();
    await pass(FIRST_BYTE_MS + 3000);
    await pass(FIRST_BYTE_MS + 6000);
    await pass(FIRST_BYTE_MS + 12_000);
    expect(urls.map((url) => url.split("?")[0])).toEqual([...Array(3).fill("/v/key/stream"), "/v/key/state"]);
    expect(statuses.at(-1)).toBe("live");
    await pass(FIRST_POLLS * POLL_MS * 1.1 + 1);
    expect(urls.filter((url) => url.includes("/state"))).toHaveLength(FIRST_POLLS);
    expect(urls.at(-1)).toBe("/v/key/stream?after=p1");
  });

  test("polls on at once while there is more", async () => {
    answers = ["refused", "refused", "refused", Response.json({ ...POLL, hasMore: true })];
    open();
    await pass(3000 + 6000 + 12_000 + 10);
    expect(urls.slice(3)).toEqual(["/v/key/state", "/v/key/state?after=p1"]);
  });

  test("reads nothing while nobody looks, and goes on from its cursor", async () => {
    const feed = open();
    await pass();
    await write(update("c9"));
    feed.setSeen(false);
    await pass(10 * SILENCE_MS);
    expect(urls).toHaveLength(1);
    expect(statuses.at(-1)).toBe("paused");
    feed.setSeen(true);
    await pass();
    expect(urls.at(-1)).toBe("/v/key/stream?after=c9");
  });

  test("does not begin before somebody looks", async () => {
    isSeen = false;
    open();
    await pass(SILENCE_MS);
    expect(urls).toEqual([]);
  });

  test("stops without a network and starts at once with it", async () => {
    const feed = open();
    await pass();
    feed.setOnline(false);
    await pass(10 * SILENCE_MS);
    expect(statuses.at(-1)).toBe("offline");
    expect(urls).toHaveLength(1);
    feed.setOnline(true);
    await pass();
    expect(urls).toHaveLength(2);
  });

  test("says nothing more once it is closed", async () => {
    const feed = open();
    await pass();
    feed.close();
    await pass(10 * SILENCE_MS);
    expect(urls).toHaveLength(1);
    expect(events).toEqual([]);
  });
});
