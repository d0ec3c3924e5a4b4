// What the types of the SDK allow and what not: checked by scripts/kits.py, never run.

import * as pounce from "pounce-guest";

export const plain: number = pounce.withSpan("plain", (span) => {
  span.setAttribute("n", 1).addEvent("told", { list: [1, 2], none: undefined }, new Date());
  return 1;
});
export const later: Promise<string> = pounce.withSpan(
  "later",
  { kind: "client", parent: "invocation", links: [{ context: pounce.currentContext() }] },
  async (span) => span.context.traceId,
);
export const traced: (n: number) => string = pounce.traced((n: number) => String(n), { name: "traced" });
pounce.startSpan("remote", { parent: pounce.extract({}) ?? "current", startTime: 1_700_000_000_000 }).end(1n);
pounce.injectInto(new Headers()).get("traceparent");
pounce.logs.warn("old prices", { "age.days": 9n });
pounce.metrics.addCounter("orders", 1);

// @ts-expect-error: a template is text
pounce.setRoute(1);
// @ts-expect-error: there is no such kind
pounce.startSpan("odd", { kind: "odd" });
// @ts-expect-error: spans are started
new pounce.Span();
// @ts-expect-error: a function is no value
pounce.setAttribute("odd", () => 1);
