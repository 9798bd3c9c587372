// What the three pages show alike: bars, the lines of code that run, the record of the run.
"use strict";

function element(id) {
  return document.getElementById(id);
}

/** Make an HTML element with a class, a text and children. */
function make(tag, className = "", text = "", ...children) {
  const made = document.createElement(tag);
  if (className) {
    made.className = className;
  }
  made.textContent = text;
  made.append(...children);
  return made;
}

function percent(share) {
  return share < 0.0995 ? `${(100 * share).toFixed(1)} %` : `${Math.round(100 * share)} %`;
}

/** A bar that is filled up to a share from 0 to 1. */
function makeTrack(share, className = "") {
  const fill = make("span", `fill ${className}`);
  fill.style.width = `${100 * share}%`;
  return make("span", "track", "", fill);
}

/** Show the source of functions as it runs, with its comments in another colour. */
function showCode(target, functions) {
  for (const shown of functions) {
    const code = make("pre", "code");
    for (const line of shown.toString().split("\n")) {
      const at = line.indexOf("//");
      const end = at < 0 ? line.length : at;
      code.append(line.slice(0, end), make("span", "comment", line.slice(end)), "\n");
    }
    code.lastChild.remove();
    code.tabIndex = 0; // so that the keyboard can scroll a long line
    target.append(code);
  }
}

/** Show the run that the weights come from. */
function showRecord(target, record) {
  for (const [name, value] of Object.entries(record)) {
    let text = value;
    if (typeof value === "object") {
      text = Object.entries(value)
        .map(([key, entry]) => `${key.replaceAll("_", " ")} ${entry}`)
        .join(", ");
    }
    target.append(make("dt", "", name), make("dd", "", String(text)));
  }
}
