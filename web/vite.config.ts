import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { noticePages } from "./build/notices.ts";

// Assets are served under /viewer/assets/ and pages at any depth, so their addresses are absolute. The policy
// allows no inline code and no data: fonts, so nothing is inlined.
export default defineConfig({
  base: "/viewer/",
  plugins: [svelte(), noticePages()],
  build: {
    outDir: "../src/odograph/viewer/web",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: ["chrome107", "safari16.4", "firefox113"],
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1500,
    rollupOptions: { input: ["share.html", "links.html", "notice.html"] },
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
} as never);
