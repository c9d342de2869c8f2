// What html-validate says of mails. Reads a list of pages {name, html} from standard input, writes
// a list of lines to be mended as JSON.

import { readFileSync } from "node:fs";
import { HtmlValidate, StaticConfigLoader } from "html-validate";
import profile from "./mail-profile.mjs";

const validator = new HtmlValidate(new StaticConfigLoader(profile));
const said = [];
for (const { name, html } of JSON.parse(readFileSync(0, "utf8"))) {
  const { results } = await validator.validateString(html, name);
  for (const { ruleId, message, line, column } of results.flatMap((one) => one.messages)) {
    said.push(`${name}:${line}:${column}: ${ruleId}: ${message}`);
  }
}
process.stdout.write(JSON.stringify(said));
