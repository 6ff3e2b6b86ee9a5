// Number keys choose a photo; Enter then sends the form, as it does for every chosen option.
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !/^[1-9]$/.test(event.key)) return;
  const option = document.querySelector(`input[name="choice"][value="${event.key - 1}"]`);
  if (!option) return;
  option.checked = true;
  option.focus();
  event.preventDefault();
});
