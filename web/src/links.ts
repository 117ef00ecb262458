import "./styles/base.css";
import { mount } from "svelte";
import LinkMaker from "./links/LinkMaker.svelte";
import { LINK_TEXTS } from "./links/texts";
import { habitsOf } from "./lib/units";

const habits = habitsOf(navigator.languages, Intl.DateTimeFormat().resolvedOptions().timeZone);
document.documentElement.lang = habits.language;
document.title = LINK_TEXTS[habits.language].title;
mount(LinkMaker, { target: document.getElementById("app")!, props: { habits } });
