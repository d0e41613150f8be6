const apple = /mac|iphone|ipad/i.test(navigator.userAgent)

/** The name of the key that begins a command on this machine. */
export const commandKey = apple ? '⌘' : 'Ctrl'

/** Whether an event carries the command key and no other. */
export const isCommand = (event: KeyboardEvent | React.KeyboardEvent): boolean =>
  (apple ? event.metaKey : event.ctrlKey) && !event.altKey
