// Signing in: with an API key, or with a wallet that signs EIP-4361.

import { action, element, fail, form, labelled, notice } from "./document.js";
import { ask } from "./session.js";

const WALLET_SECONDS = 24 * 3600;

/** Shows the form; `enter(key, wallet)` goes on. `error` is why someone has to sign in again. */
export function show(place, enter, error) {
  const key = element("input", {
    type: "password", name: "key", required: true, autocomplete: "off", spellcheck: "false", autocapitalize: "off",
  });
  const told = notice();
  place.replaceChildren(element(
    "div", { class: "page narrow" },
    element("h1", { tabindex: "-1" }, "Sign in"),
    element("p", {}, "Run code in bit-deterministic machines, and check the receipt of every run."),
    form(
      "Sign in", () => enter(key.value.trim(), false),
      labelled("API key", key, "It stays in this tab and is forgotten when the tab is closed."),
    ),
    globalThis.ethereum && element(
      "div", { class: "wallet" },
      element("p", {}, "Or sign a message with your wallet. It costs nothing and sends nothing to a chain."),
      action("Sign in with wallet", () => withWallet(enter), { told }),
    ),
    told,
  ));
  if (error) fail(told, error);
  place.querySelector("h1").focus();
}

async function withWallet(enter) {
  const wallet = globalThis.ethereum;
  const request = async (method, params) => {
    try {
      return await wallet.request({ method, params });
    } catch (error) {
      throw new Error(error.code === 4001 ? "You refused it in the wallet." : `The wallet says: ${error.message}`);
    }
  };
  const [address] = await request("eth_requestAccounts");
  if (!address) throw new Error("The wallet offers no account.");
  const { nonce, message } = await ask("POST", "/sign-in/challenges", { scheme: "ethereum", address });
  const signature = await request("personal_sign", [hexOf(message), address]);
  const made = await ask("POST", "/sign-in", {
    nonce, signature, name: "web console", expires_in_seconds: WALLET_SECONDS,
  });
  await enter(made.api_key, true);
}

function hexOf(text) {
  const digits = Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0"));
  return `0x${digits.join("")}`;
}
