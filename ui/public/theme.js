// Runs before the first paint, so that the page never flashes in the other theme.
// A file of its own because the content policy allows no inline script.
;(function () {
  var choice = null
  try {
    choice = localStorage.getItem('openpam.theme')
  } catch (_) {
    /* storage is switched off: follow the system */
  }
  var dark = choice ? choice === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
