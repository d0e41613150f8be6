import { Toaster as Sonner } from 'sonner'
import { useTheme } from '@/lib/theme'

/** Where short messages appear; colours come from the design tokens. */
export function Toaster() {
  const { resolved } = useTheme()
  return (
    <Sonner
      theme={resolved}
      // Neither over the acts of a panel at the right nor over the navigation.
      position="bottom-center"
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
