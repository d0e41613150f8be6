import { useNavigate } from '@tanstack/react-router'
import { SquareTerminal } from 'lucide-react'
import { useId, useState, type ReactNode } from 'react'
import { toast } from 'sonner'
import type { LaunchCredential, LaunchTarget } from '@/api/types'
import { Button } from '@/components/button'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { Field, RadioCards, Textarea } from '@/components/field'
import { credentialKind } from '@/lib/credentials'
import { formatAddress } from '@/lib/format'

interface Connect {
  /** Opens a terminal, or asks first what is still missing. */
  connect: (target: LaunchTarget, credential?: LaunchCredential) => void
  /** The question, while there is one. */
  prompt: ReactNode
  asking: boolean
}

/** Opens connections: asks for the credential when there is a choice, and for a reason where one is required. */
export function useConnect(onDone?: () => void): Connect {
  const navigate = useNavigate()
  const [question, setQuestion] = useState<{ target: LaunchTarget; credential?: LaunchCredential } | null>(null)

  const open = (target: LaunchTarget, credential: LaunchCredential, reason?: string) => {
    setQuestion(null)
    onDone?.()
    void navigate({
      to: '/terminal',
      search: { target: target.id, credential: credential.id },
      state: reason ? { reason } : {},
    })
  }
  const connect = (target: LaunchTarget, credential?: LaunchCredential) => {
    if (!target.enabled) {
      toast.error(`${target.name} is switched off. An administrator can switch it on.`)
      return
    }
    const only = credential ?? (target.credentials.length === 1 ? target.credentials[0] : undefined)
    if (target.credentials.length === 0) {
      toast.error(`${target.name} has no credential yet. An administrator has to give it one.`)
    } else if (only && !target.reason_required) {
      open(target, only)
    } else {
      setQuestion({ target, credential: only })
    }
  }
  const close = () => {
    setQuestion(null)
    onDone?.()
  }
  return {
    connect,
    asking: question !== null,
    prompt: question && (
      <Dialog
        open
        onClose={close}
        title={`Connect to ${question.target.name}`}
        description={`${formatAddress(question.target.host, question.target.port)} · ${question.target.zone.name}`}
      >
        <ConnectForm {...question} onCancel={close} onConnect={(credential, reason) => open(question.target, credential, reason)} />
      </Dialog>
    ),
  }
}

interface ConnectFormProps {
  target: LaunchTarget
  credential?: LaunchCredential
  onCancel: () => void
  onConnect: (credential: LaunchCredential, reason?: string) => void
}

function ConnectForm({ target, credential, onCancel, onConnect }: ConnectFormProps) {
  const [chosen, setChosen] = useState(credential?.id ?? target.credentials[0]?.id ?? '')
  const [reason, setReason] = useState('')
  const name = useId()
  const picked = target.credentials.find(({ id }) => id === chosen)
  const ready = picked && (!target.reason_required || reason.trim() !== '')
  return (
    <form
      className="flex min-h-0 flex-col"
      onSubmit={(event) => {
        event.preventDefault()
        if (picked && ready) onConnect(picked, reason.trim() || undefined)
      }}
    >
      <DialogBody className="flex flex-col gap-4">
        {target.credentials.length > 1 && (
          <RadioCards
            legend="Log in as"
            autoFocus={!target.reason_required}
            name={name}
            value={chosen}
            onChange={setChosen}
            options={target.credentials.map((option) => ({
              value: option.id,
              label: option.username,
              help: `${option.name} · ${credentialKind[option.kind]}`,
            }))}
          />
        )}
        {target.reason_required && (
          <Field label="Reason" help="Kept with the session, for whoever audits it.">
            <Textarea
              autoFocus
              required
              rows={2}
              maxLength={1000}
              placeholder="What are you going to do, and for whom?"
              value={reason}
              onChange={(event) => setReason(event.target.value)}
              onKeyDown={(event) => {
                if (event.key === 'Enter' && !event.shiftKey) {
                  event.preventDefault()
                  event.currentTarget.form?.requestSubmit()
                }
              }}
            />
          </Field>
        )}
      </DialogBody>
      <DialogFooter>
        <Button onClick={onCancel}>Cancel</Button>
        <Button type="submit" variant="primary" icon={SquareTerminal} disabled={!ready}>
          Connect
        </Button>
      </DialogFooter>
    </form>
  )
}
