// The pages that say one thing. The build writes them as files, the live page shows them in its own place: one
// source, and nothing of a link in it.
import { TEXTS, type Language } from "./texts/index.ts";

export const NOTICES = ["gone", "expired", "arrived", "later", "busy"] as const;
export type NoticeKind = (typeof NOTICES)[number];

const PIN = '<path class="pin" d="M64 26c-14.4 0-26 11.4-26 25.7C38 71.3 64 100 64 100s26-28.7 26-48.3C90 37.4 78.4 26 64 26z"/><circle class="hole" cx="64" cy="52" r="16"/>';
const SIGNS: Record<NoticeKind, string> = {
  gone: '<path class="sign" d="M58.5 46.500l11 11m0-11l-11 11"/>',
  expired: '<path class="sign" d="M64 43.500V52l6 4"/>',
  arrived: '<path class="sign" d="M57 52.500l5 5 9.500-10.500"/>',
  later: '<path class="sign" d="M58.5 46v12m11-12v12"/>',
  busy: '<path class="sign" d="M57 52h.01M64 52h.01M71 52h.01"/>',
};

/** Inside of `<main class="notice">`. */
export function noticeHtml(kind: NoticeKind, language: Language): string {
  const texts = TEXTS[language];
  const { title, text, help } = texts.notices[kind];
  const again = kind === "busy" || kind === "later" ? `<a href="">${texts.tryAgain}</a>` : "";
  return (
    `<svg viewBox="0 0 128 128" aria-hidden="true"><circle class="disc" cx="64" cy="64" r="62"/>` +
    `<path class="dots" d="M20 98c10-14 22-16 34-8M78 84c12 4 22-10 30-30"/>${PIN}${SIGNS[kind]}</svg>` +
    `<h1>${title}</h1><p>${text}</p><p>${help}</p>${again}`
  );
}
