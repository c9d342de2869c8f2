// Looks at pages as a browser shows them: what a checker nobody here wrote says of them, and what
// was measured. Reads a list of pages from standard input, writes a list of findings as JSON.
//
// A page: {name, html, width, dark, axe, off, sizes}. `sizes` selects what is to be measured.

import { readFileSync } from "node:fs";
import { chromium as driver } from "playwright-core";

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

async function installed() {
  const asked = process.env.ORCHESTRATOR_BROWSER;
  if (asked) return { executablePath: asked, args: ["--no-sandbox"] };
  const carried = (await import("@sparticuz/chromium")).default;
  // Not with its own arguments: they are for one dark page and one process.
  return { executablePath: await carried.executablePath(), args: ["--no-sandbox"] };
}

function measure(selected) {
  const shown = getComputedStyle(document.body);
  const small = [...document.querySelectorAll("a, button, input:not([type=hidden])")]
    .filter((one) => getComputedStyle(one).display !== "inline")
    .map((one) => [one.textContent.trim() || one.name, one.getBoundingClientRect()])
    .filter(([, box]) => box.width && (box.width < 24 || box.height < 24))
    .map(([words]) => words);
  const size = (one) => [one.getBoundingClientRect()].map((box) => [box.width, box.height])[0];
  return {
    scrollWidth: document.documentElement.scrollWidth,
    background: shown.backgroundColor,
    heading: document.querySelector("h1")?.textContent.trim() ?? "",
    small,
    sizes: selected ? [...document.querySelectorAll(selected)].map(size) : [],
  };
}

const described = ({ id, help, nodes }) => ({
  id,
  help,
  nodes: nodes.map((node) => `${node.html.slice(0, 200)} ${node.any.map((one) => one.message)}`),
});

// Signs alone, such as a star, are no text to axe, which then tells no contrast; rule A13 does.
const isSign = (node) => node.any.some((one) => one.data?.messageKey === "nonBmp");
const withoutSigns = (one) => ({ ...one, nodes: one.nodes.filter((node) => !isSign(node)) });

async function look(context, page) {
  const tab = await context.newPage();
  await tab.setViewportSize({ width: page.width, height: 900 });
  const asked = [];
  await tab.route("**/*", (route) => {
    asked.push(route.request().url());
    return route.abort();
  });
  await tab.setContent(page.html, { waitUntil: "domcontentloaded" });
  const found = { name: page.name, width: page.width, dark: page.dark, asked };
  Object.assign(found, await tab.evaluate(measure, page.sizes));
  if (page.axe) {
    await tab.evaluate(AXE);
    const { violations, incomplete } = await tab.evaluate((off) => {
      const rules = Object.fromEntries(off.map((id) => [id, { enabled: false }]));
      rules["target-size"] = { enabled: true }; // WCAG 2.5.8, which axe leaves out by itself
      return window.axe.run(document, { rules, resultTypes: ["violations", "incomplete"] });
    }, page.off ?? []);
    found.violations = violations.map(described);
    const undecided = incomplete.map(withoutSigns).filter((one) => one.nodes.length);
    found.undecided = undecided.map(described);
  }
  await tab.close();
  return found;
}

const pages = JSON.parse(readFileSync(0, "utf8"));
const browser = await driver.launch({ headless: true, ...(await installed()) });
const findings = [];
const inside = (dark) =>
  browser.newContext({ colorScheme: dark ? "dark" : "light", bypassCSP: true }); // for the checker
const [light, dark] = [await inside(false), await inside(true)];
for (const page of pages) findings.push(await look(page.dark ? dark : light, page));
await browser.close();
process.stdout.write(JSON.stringify(findings));
