import { de } from "./de.ts";
import { en, type Texts } from "./en.ts";
import { es } from "./es.ts";
import { fr } from "./fr.ts";

export type { Texts };
export const TEXTS = { en, es, de, fr } as const satisfies Record<string, Texts>;
export type Language = keyof typeof TEXTS;
