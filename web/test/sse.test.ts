import { expect, test } from "vitest";
import { sseReader } from "../src/lib/sse";

const STREAM = 'retry: 1500\n\nevent: state\ndata: {"a":1}\n\n: beat\n\nid: c1\r\nevent: update\r\ndata: one\r\ndata: two\r\n\r\n';
const EVENTS = [{ event: "state", data: '{"a":1}' }, { event: "update", data: "one\ntwo", id: "c1" }];

test("reads the same events wherever the text is cut", () => {
  for (let a = 0; a <= STREAM.length; a += 1) {
    for (let b = a; b <= STREAM.length; b += 7) {
      const reader = sseReader();
      const found = [STREAM.slice(0, a), STREAM.slice(a, b), STREAM.slice(b)].flatMap((piece) => reader.push(piece));
      expect(found).toEqual(EVENTS);
      expect(reader.retryMs).toBe(1500);
    }
  }
});

test("does not give an event before its blank line", () => {
  expect(sseReader().push("event: update\ndata: x\n")).toEqual([]);
});
