export function LauncherPage() { return <main>Launcher</main> }
