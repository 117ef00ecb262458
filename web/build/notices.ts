// Turns notice.html into one page a kind and language.
import type { Plugin } from "vite";
import { NOTICES, noticeHtml } from "../src/lib/notice.ts";
import { TEXTS, type Language } from "../src/lib/texts/index.ts";

export function noticePages(): Plugin {
  return {
    name: "notice-pages",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const template = bundle["notice.html"];
      if (template?.type !== "asset") return this.error("notice.html was not built");
      const html = String(template.source).replace(/\s*<script[^>]*><\/script>|\s*<link rel="modulepreload"[^>]*>/g, "");
      for (const kind of NOTICES) {
        for (const language of Object.keys(TEXTS) as Language[]) {
          const source = html
            .replace('lang="en"', `lang="${language}"`)
            .replace("notice:title", TEXTS[language].notices[kind].title)
            .replace("notice:body", noticeHtml(kind, language));
          this.emitFile({ type: "asset", fileName: `${kind}.${language}.html`, source });
        }
      }
      delete bundle["notice.html"];
    },
  };
}
