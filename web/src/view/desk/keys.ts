// Which keys are meant for the desk and which for a field somebody writes in.

/** Whether a key goes into a field or a dialog, or belongs to the browser. */
export function isTyping(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  const at = event.target instanceof Element ? event.target : null;
  return at?.closest('input, textarea, select, dialog, [contenteditable]') != null;
}
