export const NotFoundPage = () => <main>Not found</main>
export const RouteErrorPage = () => <main>Error</main>
export const RoutePending = () => <main>Loading</main>
