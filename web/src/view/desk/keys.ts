// Which keys are meant for the desk and which for a field somebody writes in.

/** Whether a key is one of the desk's. Without `letters` the single letters and signs are not (WCAG
 *  2.1.4): who speaks to the computer would set them off with every word. */
export function isMeant(event: KeyboardEvent, desk: { letters: boolean }): boolean {
  return !isTyping(event) && (desk.letters || event.key.length !== 1);
}

/** Whether a key goes into a field or a dialog, or belongs to the browser. */
function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  const at = event.target instanceof Element ? event.target : null;
  return at?.closest('input, textarea, select, dialog, [contenteditable]') != null;
}
