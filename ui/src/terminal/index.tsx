/** The terminal workspace, loaded when the route is first opened. */
export { TerminalWorkspace, TerminalWorkspace as default } from './workspace'
