/** Small helpers around the DOM. */

/**
 * Makes an element. No HTML is ever parsed from text.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] DOM properties, or attributes where none fits.
 * @param {...(Node | string)} children
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** The element with this id, which index.html must have. */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`index.html has no #${id}`);
  return node;
}

/** Says something to people who listen to the page instead of looking at it. */
export function announce(words) {
  byId("announcer").textContent = words;
}
