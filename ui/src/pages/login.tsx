import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { ArrowRight, CircleAlert, Info } from 'lucide-react'
import { useEffect, useState, type ReactNode } from 'react'
import { meQuery, providersQuery } from '@/api/hooks'
import { signInLocally } from '@/api/hub'
import { ApiProblem } from '@/api/problem'
import { Button, buttonClass } from '@/components/button'
import { Field, Input } from '@/components/field'
import { Mark } from '@/components/logo'
import { asProblem, ErrorState, ProblemReference, Skeleton } from '@/components/states'
import { cn } from '@/lib/cn'
import { queryClient } from '@/lib/query-client'
import { signInProblem } from '@/lib/words'
import { router } from '@/router'

const route = getRouteApi('/login')

/** Signing in: through the provider, or with a local account. Afterwards one is back where one was. */
export function LoginPage() {
  const search = route.useSearch()
  const providers = useQuery(providersQuery)
  const [local, setLocal] = useState(false)
  useEffect(() => {
    document.title = 'Sign in · OpenPAM'
  }, [])
  const oidc = providers.data?.oidc
  const showLocal = local || (providers.data?.local === true && !oidc)

  return (
    <main className="relative grid min-h-full place-items-center px-4 py-10">
      <div className="w-full max-w-[22rem]">
        <header className="mb-6 flex flex-col items-center text-center">
          <Mark className="mb-4 size-10" />
          <h1 className="text-xl font-semibold tracking-tight">Sign in to OpenPAM</h1>
          {providers.data?.tenant && (
            <p className="mt-0.5 text-sm text-muted">
              Tenant <span className="font-medium text-fg">{providers.data.tenant}</span>
            </p>
          )}
        </header>
        {search.error && <Notice code={search.error} requestId={search.request_id} />}
        <div className="rounded-xl border bg-surface p-5 shadow-card">
          {providers.isPending && (
            <div role="status" aria-label="Loading" className="flex flex-col gap-3">
              <Skeleton className="h-10 rounded-lg" />
              <Skeleton className="mx-auto w-32" />
            </div>
          )}
          {providers.isError && <ErrorState error={providers.error} onRetry={() => void providers.refetch()} className="px-0 py-4" />}
          {oidc && (
            <a href={providerLink(oidc.login_url, search.return_to)} className={cn(buttonClass({ variant: showLocal ? 'secondary' : 'primary', size: 'lg' }), 'w-full')}>
              Continue with {oidc.display_name}
              <ArrowRight aria-hidden className="size-4" />
            </a>
          )}
          {oidc && providers.data?.local && !showLocal && (
            <button type="button" onClick={() => setLocal(true)} className="mt-4 w-full rounded text-center text-sm text-muted hover:text-fg">
              Use a local account instead
            </button>
          )}
          {oidc && showLocal && (
            <p className="my-4 flex items-center gap-3 text-xs text-faint before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">
              or with a local account
            </p>
          )}
          {providers.data && showLocal && <LocalForm tenant={providers.data.tenant} returnTo={search.return_to} />}
          {providers.data && !oidc && !providers.data.local && (
            <p className="text-sm text-muted">No way to sign in is configured. Tell your administrator.</p>
          )}
        </div>
        <p className="mt-5 text-center text-xs text-balance text-faint">
          For authorised use. Who connects where, when and why is kept.
        </p>
      </div>
    </main>
  )
}

function providerLink(loginUrl: string, returnTo: string | undefined): string {
  const url = new URL(loginUrl, window.location.origin)
  if (returnTo) url.searchParams.set('return_to', returnTo)
  return url.pathname + url.search
}

function Notice({ code, requestId }: { code: string; requestId?: string }) {
  const { message, calm } = signInProblem(code)
  const Icon = calm ? Info : CircleAlert
  return (
    <div
      role={calm ? 'status' : 'alert'}
      className={cn('mb-4 flex gap-2.5 rounded-lg border px-3 py-2.5 text-sm', calm ? 'bg-surface text-muted' : 'border-danger/30 bg-danger-soft text-danger-text')}
    >
      <Icon aria-hidden className="mt-0.5 size-4 shrink-0" />
      <div className="min-w-0">
        <p>{message}</p>
        {!calm && <ProblemReference problem={new ApiProblem({ status: 0, code, title: message, requestId })} />}
      </div>
    </div>
  )
}

function LocalForm({ tenant, returnTo }: { tenant: string | null; returnTo?: string }) {
  const [space, setSpace] = useState(tenant ?? '')
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const [otherTenant, setOtherTenant] = useState(tenant === null)
  const signIn = useMutation({
    mutationFn: () => signInLocally({ tenant: space.trim(), username: username.trim(), password }),
    onSuccess: (me) => {
      queryClient.clear()
      queryClient.setQueryData(meQuery.queryKey, me)
      router.history.push(returnTo ?? '/')
    },
    onError: () => setPassword(''),
  })
  const problem = signIn.error ? asProblem(signIn.error) : null
  let message: ReactNode = null
  if (problem) message = signInProblem(problem.code, problem).message
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        signIn.mutate()
      }}
    >
      {problem && (
        <div role="alert" className="rounded-lg border border-danger/30 bg-danger-soft px-3 py-2.5 text-sm text-danger-text">
          {message}
          {problem.code !== 'invalid_credentials' && (
            <div>
              <ProblemReference problem={problem} />
            </div>
          )}
        </div>
      )}
      {otherTenant && (
        <Field label="Tenant">
          <Input name="organization" autoComplete="organization" required maxLength={63} autoCapitalize="off" spellCheck={false} value={space} onChange={(event) => setSpace(event.target.value)} />
        </Field>
      )}
      <Field label="User name">
        <Input name="username" autoComplete="username" required maxLength={200} autoCapitalize="off" spellCheck={false} autoFocus value={username} onChange={(event) => setUsername(event.target.value)} className="h-9" />
      </Field>
      <Field label="Password">
        <Input name="password" type="password" autoComplete="current-password" required maxLength={1024} value={password} onChange={(event) => setPassword(event.target.value)} className="h-9" />
      </Field>
      <Button type="submit" variant="primary" size="lg" busy={signIn.isPending}>
        Sign in
      </Button>
      {!otherTenant && (
        <button type="button" onClick={() => setOtherTenant(true)} className="rounded text-center text-xs text-faint hover:text-fg">
          Another tenant than {tenant}
        </button>
      )}
    </form>
  )
}
