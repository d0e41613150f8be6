/** The terminal workspace, loaded when the route is first opened. */
export function TerminalWorkspace() {
  return <main className="grid h-full place-items-center bg-canvas text-muted">Terminal</main>
}
export default TerminalWorkspace
