// What html-validate holds mails to: everything it recommends for web pages, but what would break
// them in a mail client. Each exception has its reason; an exception for some markup names it.

const allowed = (...names) => ({
  attributes: Object.fromEntries(names.map((name) => [name, { deprecated: false }])),
});

export default {
  root: true,
  extends: ["html-validate:recommended"],
  elements: [
    "html5",
    {
      // Outlook on Windows lays out by Word, which knows these and not the CSS that replaced them.
      table: { inherit: "table", ...allowed("cellpadding", "cellspacing", "border", "width") },
      td: { inherit: "td", ...allowed("align", "valign", "width", "height") },
    },
  ],
  rules: {
    // Many clients drop style sheets, Gmail on some accounts all of them: a mail stands on its
    // inline styles.
    "no-inline-style": "off",
    // The only way to give Outlook the tables it needs; all others read a comment. What stands in
    // them is validated too, as Outlook reads it.
    "no-conditional-comment": "off",
    // Every parser adds a missing <tbody> (HTML, section 13.2.6.4.9); written out it costs bytes of
    // the hundred thousand after which Gmail cuts a mail off.
    "prefer-tbody": "off",
    // About lines in search results. A mail's title is its subject, which rule C6 of docs/rules.md
    // measures; long names of products may stand in it.
    "long-title": "off",
    // Screen readers take the mail, which has no page of its own, as an article. Word knows no
    // <article>, and a div keeps its width there.
    "prefer-native-element": ["error", { exclude: ["article"] }],
  },
};
