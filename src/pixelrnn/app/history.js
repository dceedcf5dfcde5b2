// The document is { steps: [{ marks, key, result, sample }], at }. Marks are strokes (tool, radius, points in pixels of the
// photograph), not pixels, so that their size does not depend on the photograph's. A step that was kept names its result. Documents
// are copied, never changed, so that undo can go back to any earlier one.
const step = (marks = []) => ({ marks, key: keyOf(marks), result: null, sample: 0 });

export const blank = () => ({ steps: [step()], at: 0 });

export const current = (doc) => doc.steps[doc.at];

// The key by which a result is found again: equal marks have equal keys.
export function keyOf(marks) {
  if (!marks.length) return "";
  let one = 0xdeadbeef, other = 0x41c6ce57; // two hashes of 32 bits
  for (const letter of JSON.stringify(marks)) {
    one = Math.imul(one ^ letter.charCodeAt(0), 2654435761);
    other = Math.imul(other ^ letter.charCodeAt(0), 1597334677);
  }
  return (one >>> 0).toString(36) + (other >>> 0).toString(36);
}

// The results that the current step starts from.
export const chainOf = (doc) => doc.steps.slice(0, doc.at).map(({ result, sample }) => [result, sample]);

// Replace the marks of the current step; later steps are dropped, since they depended on the old marks.
export const remarked = (doc, marks) => ({ ...doc, steps: [...doc.steps.slice(0, doc.at), step(marks)] });

export const marked = (doc, mark) => remarked(doc, [...current(doc).marks, mark]);

export const sampled = (doc, sample) => ({ ...doc, steps: [...doc.steps.slice(0, doc.at), { ...current(doc), sample }] });

// Keep the result, and start a new step from it.
export function kept(doc, result) {
  const { sample } = current(doc);
  if (current(doc).result === result && doc.steps[doc.at + 1]) return gone(doc, doc.at + 1);
  return { steps: [...doc.steps.slice(0, doc.at), { ...current(doc), result, sample }, step()], at: doc.at + 1 };
}

export const gone = (doc, at) => ({ ...doc, at });

// The results for the current marks, the newest first.
export function resultsOf(doc, results) {
  const chain = JSON.stringify(chainOf(doc)), { key } = current(doc);
  return results.filter((result) => result.key === key && JSON.stringify(result.chain) === chain);
}

export class History {
  constructor(doc) {
    Object.assign(this, { doc, past: [], future: [] });
  }

  make(doc) {
    this.past.push(this.doc);
    Object.assign(this, { doc, future: [] });
  }

  // Undo the last change so that it cannot be redone.
  forget() {
    if (this.past.length) this.doc = this.past.pop();
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.doc);
    this.doc = this.past.pop();
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.doc);
    this.doc = this.future.pop();
  }
}
