// The subscription at Akeneo: what is there, what would be done, and, once a person has seen that, doing it.

/** Asks Akeneo through the application, for which a tick under way is waited for. */
const atAkeneo = (what) => ask("POST", "/connect", what, 120000);

const writesTo = () => $("email").value.trim() || undefined;

function drawSubscription({ subscription, warnings }) {
  show($("subscription"), [subscription, warnings], () => [
    subscription ? h("p", {}, `It is ${subscription.status} and delivers to ${subscription.url}.`) : h("p", {}, "There is none."),
    warnings.map((warning) => h("p", { class: "small" }, `${capital(warning)}.`))]);
}

/** What is to be done at Akeneo, with the lines that say what that is. */
async function wantedThere(what) {
  tell("Looking at Akeneo: this takes up to a minute");
  const found = await atAkeneo({ do: "show", email: writesTo() });
  drawSubscription(found);
  const { subscription, would, warnings } = found;
  if (what === "remove") return subscription && { do: what, lines: [`remove the subscription that delivers to ${subscription.url}`] };
  if (would.length > 0) return { do: "connect", email: writesTo(), seen: would, lines: [...would, ...warnings] };
  return subscription.status === "suspended" && { do: "resume", lines: ["resume the subscription: first see that its reason is mended", ...warnings] };
}

async function change(button, what) {
  let wanted;
  await act(button, async () => {
    wanted = await wantedThere(what);
    if (!wanted) return "Nothing is left to do";
  });
  button.focus();
  if (!wanted) return;
  const { lines, ...asked } = wanted;
  if (!await confirmed("Do this at Akeneo?", lines.map(capital).join(".\n"), "Do it", what === "remove")) return;
  await act(button, async () => `Done: ${(await atAkeneo(asked)).done.join("; ")}`);
  button.focus();
}

/** A secret is shown once, and neither the page nor the application keeps it. */
async function newSecret() {
  const { secret } = await atAkeneo({ do: "secret" });
  await confirmed("A new secret", `${secret}\nIt is shown once and kept nowhere: set it as event_platform_secret, the one before as event_platform_secret_previous, and restart.`, "I have it");
  put($("confirm-text"), "");
}
