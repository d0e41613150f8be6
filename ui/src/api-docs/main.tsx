/** The API reference, an entry of its own so that its size is paid only there. */
import { QueryClientProvider } from '@tanstack/react-query'
import { Tooltip } from 'radix-ui'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import '@/styles/index.css'
import { Toaster } from '@/components/toaster'
import { queryClient } from '@/lib/query-client'
import { ReferencePage } from './page'

const root = document.getElementById('reference')
if (!root) throw new Error('api-docs.html has no #reference')
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <Tooltip.Provider delayDuration={300}>
        <ReferencePage />
        <Toaster />
      </Tooltip.Provider>
    </QueryClientProvider>
  </StrictMode>,
)
