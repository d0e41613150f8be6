import { Toaster as Sonner } from 'sonner'
import { useTheme } from '@/lib/theme'

/** Where short messages appear; colours come from the design tokens. */
export function Toaster() {
  const { resolved } = useTheme()
  return (
    <Sonner
      theme={resolved}
      // Neither over the navigation nor over the acts at the foot of a panel or a form.
      position="bottom-center"
      offset={{ bottom: 76 }}
      mobileOffset={{ bottom: 76 }}
      closeButton
      toastOptions={{
        classNames: {
          toast: '!rounded-lg !border-line !bg-raised !text-fg !shadow-pop !font-sans',
          description: '!text-muted',
          closeButton: '!bg-raised !border-line !text-muted',
          error: '!text-danger-text',
        },
      }}
    />
  )
}
