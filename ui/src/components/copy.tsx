import { Check, Copy } from 'lucide-react'
import { useEffect, useState } from 'react'
import { toast } from 'sonner'
import { cn } from '@/lib/cn'
import { Button, IconButton } from './button'

/** Copies a text, and whether that was just done. */
function useCopy(text: string, onCopied?: () => void) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 1500)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = () =>
    void navigator.clipboard.writeText(text).then(
      () => {
        setCopied(true)
        onCopied?.()
      },
      () => toast.error('The browser did not allow copying. Select the text and copy it by hand.'),
    )
  return { copied, copy }
}

/** Copies a text; says so for a moment. */
export function CopyButton({ text, label = 'Copy', className, onCopied }: { text: string; label?: string; className?: string; onCopied?: () => void }) {
  const { copied, copy } = useCopy(text, onCopied)
  return (
    <IconButton
      icon={copied ? Check : Copy}
      label={copied ? 'Copied' : label}
      size="sm"
      className={cn('relative z-10 -my-1', copied && 'text-success-text', className)}
      onClick={(event) => {
        event.stopPropagation()
        copy()
      }}
    />
  )
}

/** The same with words, for what is not beside it. */
export function CopyText({ text, label }: { text: string; label: string }) {
  const { copied, copy } = useCopy(text)
  return (
    <Button variant="ghost" size="sm" icon={copied ? Check : Copy} onClick={copy}>
      {copied ? 'Copied' : label}
    </Button>
  )
}

/** The end of an id, which is where UUIDv7 differ, with a button for all of it. */
export function ShortId({ id }: { id: string }) {
  return (
    <span className="inline-flex items-center gap-0.5">
      <code title={id} className="font-mono text-xs text-muted">
        {id.slice(-8)}
      </code>
      <CopyButton text={id} label="Copy id" />
    </span>
  )
}

/** A value in code type with a button to copy it; breaks where it must. */
export function CopyValue({ value }: { value: string }) {
  return (
    <span className="flex min-w-0 items-center gap-1">
      <code className="min-w-0 font-mono text-xs break-all text-fg">{value}</code>
      <CopyButton text={value} />
    </span>
  )
}
