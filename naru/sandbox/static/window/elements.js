/** Small pieces of the page: elements, icons, fields, and the form that checks itself. */

/**
 * Make one element. Text is always set as text, so a merchant's words can never become markup.
 * @param {string} tag
 * @param {Record<string, unknown>} attributes `on` holds listeners; null and false are left out.
 * @param {...(Node|string|null|undefined)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const PATHS = {
  close: "M5 5l14 14M19 5L5 19",
  done: "M7.5 12.4l3.1 3.1 6-6.4M12 2.5a9.5 9.5 0 110 19 9.5 9.5 0 010-19z",
  bad: "M12 7v6.5M12 17v.01M12 2.5a9.5 9.5 0 110 19 9.5 9.5 0 010-19z",
  clock: "M12 6.5V12l3.5 2M12 2.5a9.5 9.5 0 110 19 9.5 9.5 0 010-19z",
  leave: "M14 4h5v16h-5M4 12h10M10 8l4 4-4 4",
};

/** A decorative line drawing; words beside it carry the meaning. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  for (const [key, value] of [
    ["fill", "none"],
    ["stroke", "currentColor"],
    ["stroke-width", "2"],
    ["stroke-linecap", "round"],
    ["stroke-linejoin", "round"],
  ]) {
    path.setAttribute(key, value);
  }
  svg.append(path);
  return svg;
}

function describe(control, node, wrong, hint) {
  control.setAttribute("aria-describedby", [hint?.id, wrong.id].filter(Boolean).join(" "));
  node.append(...[hint, wrong].filter(Boolean));
}

/**
 * A labelled text field.
 * @param {{id: string, label: string, hint?: string, check: (value: string) => string | null,
 *   shape?: (value: string) => string, attributes?: Record<string, unknown>, badge?: HTMLElement}} plan
 *   `shape` regroups what was typed (digits only count for the caret); `check` returns a sentence when wrong.
 */
export function textField({ id, label, hint, check, shape, attributes = {}, badge }) {
  const control = h("input", {
    id,
    class: "input",
    type: "text",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-required": "true",
    ...attributes,
  });
  if (shape) {
    control.addEventListener("input", () => {
      const before = control.value.slice(0, control.selectionStart ?? 0).replace(/\D/g, "").length;
      const shaped = shape(control.value);
      if (shaped === control.value) return;
      control.value = shaped;
      let seen = 0;
      let at = shaped.length;
      if (before < shaped.replace(/\D/g, "").length) {
        at = 0;
        while (seen < before) if (/\d/.test(shaped[at++])) seen += 1;
      }
      control.setSelectionRange(at, at);
    });
  }
  return finishField({ id, label, hint, control, check, badge });
}

/** A labelled list to choose from: `options` is `[{value, label}]`; an empty first value asks to choose. */
export function selectField({ id, label, hint, options, value, check = () => null, attributes = {} }) {
  const control = h(
    "select",
    { id, class: "select", ...attributes },
    options.map((option) => h("option", { value: option.value, selected: option.value === value }, option.label)),
  );
  return finishField({ id, label, hint, control, check });
}

function finishField({ id, label, hint, control, check, badge }) {
  const wrong = h("span", { id: `${id}-wrong`, class: "wrong", hidden: true });
  const node = h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    badge ? h("div", { class: "with-badge" }, control, badge) : control,
  );
  describe(control, node, wrong, hint ? h("span", { id: `${id}-hint`, class: "hint" }, hint) : null);
  const mark = (sentence) => {
    wrong.textContent = sentence ?? "";
    wrong.hidden = !sentence;
    if (sentence) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  };
  control.addEventListener("input", () => mark(null));
  return { id, label, node, control, mark, check: () => check(control.value) };
}

/**
 * Radio buttons drawn as tiles, in a fieldset with a legend.
 * @param {{id: string, legend: string, options: {value: string, name: string, note?: string}[],
 *   value?: string, wide?: boolean, missing: string, onChange?: (value: string) => void}} plan
 */
export function tilesField({ id, legend, options, value, wide = false, missing, onChange }) {
  const wrong = h("span", { id: `${id}-wrong`, class: "wrong", hidden: true });
  const radios = options.map((option, place) =>
    h("input", {
      type: "radio",
      name: id,
      id: place === 0 ? id : `${id}-${place}`,
      value: option.value,
      checked: option.value === value,
      "aria-describedby": wrong.id,
    }),
  );
  const node = h(
    "fieldset",
    { class: "field" },
    h("legend", { class: "legend" }, legend),
    h(
      "div",
      { class: wide ? "tiles wide" : "tiles" },
      options.map((option, place) =>
        h(
          "label",
          { class: "tile" },
          radios[place],
          h("span", { class: "name" }, option.name),
          option.note ? h("span", { class: "note" }, option.note) : null,
        ),
      ),
    ),
    wrong,
  );
  const chosen = () => radios.find((radio) => radio.checked)?.value ?? null;
  const mark = (sentence) => {
    wrong.textContent = sentence ?? "";
    wrong.hidden = !sentence;
  };
  node.addEventListener("change", () => {
    mark(null);
    onChange?.(chosen());
  });
  return { id, label: legend, node, mark, chosen, check: () => (chosen() === null ? missing : null) };
}

/**
 * A form that checks its fields, lists what is wrong with links, and sends once however often it is pressed.
 * @param {import("./page.js").Page} page
 * @param {{fields: {node: Node, check: () => string | null, mark: (s: string | null) => void, id: string}[],
 *   rest?: Node[], actions?: Node[], label: string, working?: string, send: () => Promise<object | null>}} plan
 *   `send` resolves to a refusal `{code, message, attempts_left?}` to be shown, or null when it went on.
 */
export function buildForm(page, { fields, rest = [], actions = [], label, working, send }) {
  const summary = h("div", { class: "note-box bad", role: "alert", tabindex: "-1", hidden: true });
  const button = h("button", { class: "button", type: "submit" }, label);
  const form = h(
    "form",
    { novalidate: true },
    summary,
    fields.map((field) => field.node),
    rest,
    h("div", { class: "actions" }, actions, button),
  );

  const tell = (...children) => {
    summary.replaceChildren(...children);
    summary.hidden = children.length === 0;
    if (children.length) summary.focus();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (page.busy || button.disabled) return;
    const wrong = fields
      .filter((field) => !field.node.hidden)
      .map((field) => [field, field.check()])
      .filter(([field, sentence]) => (field.mark(sentence), sentence));
    if (wrong.length) {
      tell(
        h("strong", {}, page.say("check_fields", { count: wrong.length })),
        h(
          "ul",
          {},
          wrong.map(([field, sentence]) =>
            h("li", {}, h("a", { href: `#${field.id}`, on: { click: jump(field.id) } }, sentence)),
          ),
        ),
      );
      return;
    }
    tell();
    button.disabled = true;
    button.classList.add("working");
    button.textContent = working ?? page.say("checking");
    page.announce(button.textContent);
    let refusal = { code: "PAGE_ERROR" };
    try {
      refusal = await send();
    } catch (error) {
      console.error(error);
    }
    if (!form.isConnected) return;
    button.disabled = false;
    button.classList.remove("working");
    button.textContent = label;
    if (refusal) tell(...refusalWords(page, refusal));
  });
  return form;
}

function jump(id) {
  return (event) => {
    event.preventDefault();
    document.getElementById(id)?.focus();
  };
}

/** What a refusal says: our sentence in the buyer's language, what is left, and the PG's own words in small print. */
export function refusalWords(page, { code, message, attempts_left: left }) {
  const known = page.sayOr(`code.${code}`, null);
  return [
    h("strong", {}, known ?? message ?? page.say("refused")),
    Number.isInteger(left) && left > 0 ? h("span", {}, page.say("attempts_left", { count: left })) : null,
    code && message ? h("span", { class: "small-print" }, `[${code}] ${message}`) : null,
  ].filter(Boolean);
}
