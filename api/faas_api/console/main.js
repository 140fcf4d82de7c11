// Which page is shown, and to whom. A page is `{title, show(place, session, parameters)}`; `show` may answer a
// function that ends what the page began.

import { announce, element, fail, notice } from "./document.js";
import * as credits from "./credits.js";
import * as execution from "./execution.js";
import * as executions from "./executions.js";
import * as keys from "./keys.js";
import * as run from "./run.js";
import { Session } from "./session.js";
import * as signIn from "./sign_in.js";
import * as snapshots from "./snapshots.js";
import * as usage from "./usage.js";

const PAGES = { run, executions, snapshots, usage, credits, keys };
const FIRST = "run";

const main = document.getElementById("main");
const navigation = document.getElementById("navigation");
const signOut = document.getElementById("sign-out");

let session = null;
let end = null;
let shown = 0;

function placeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  const parameters = Object.fromEntries(new URLSearchParams(query));
  if (name === "executions" && rest.length === 1) return { name, page: execution, parameters: { ...parameters, id: rest[0] } };
  return Object.hasOwn(PAGES, name) ? { name, page: PAGES[name], parameters } : { name: FIRST, page: PAGES[FIRST], parameters: {} };
}

function clear() {
  shown += 1;
  end?.();
  end = null;
}

/** Shows the page that the address names. */
async function show(focus = true) {
  if (session === null) return;
  clear();
  const turn = shown;
  const { name, page, parameters } = placeOf(location.hash);
  for (const link of navigation.querySelectorAll("a")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = element("div", { class: "page" });
  const told = notice();
  main.replaceChildren(element("h1", { tabindex: "-1" }, page.title), told, place);
  document.title = `${page.title} – FaaS console`;
  if (focus) main.querySelector("h1").focus();
  try {
    const ending = await page.show(place, session, parameters);
    if (turn === shown) end = ending ?? null;
    else ending?.();
  } catch (error) {
    if (turn === shown) fail(told, error);
  }
}

function showSignIn(error) {
  clear();
  session = null;
  navigation.hidden = signOut.hidden = true;
  document.title = "Sign in – FaaS console";
  signIn.show(main, enter, error);
}

async function enter(key, wallet) {
  session = await Session.open(key, showSignIn, wallet);
  begin();
}

function begin() {
  navigation.replaceChildren(element(
    "ul", {}, Object.entries(PAGES).map(([name, page]) => element(
      "li", {}, element("a", { href: `#/${name}`, "data-page": name }, page.link ?? page.title),
    )),
  ));
  navigation.hidden = signOut.hidden = false;
  announce(`Signed in to ${session.account.name || session.account.account_id}`);
  show();
}

async function leave() {
  const leaving = session;
  showSignIn();
  announce("Signed out");
  await leaving.close();
}

addEventListener("hashchange", () => show());
signOut.addEventListener("click", leave);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

try {
  session = await Session.resume(showSignIn);
  if (session === null) showSignIn();
  else begin();
} catch (error) {
  showSignIn(error);
}
