import { Button } from '@/components/button'
import { Dialog, DialogBody, DialogFooter } from '@/components/dialog'
import { count as counted, formatBytes } from '@/lib/format'
import { workspace } from '../model/workspace'
import { focusTerminal } from './parts'
import { useWorkspace } from './use-workspace'

const PREVIEW_CHARACTERS = 1500

function cancelPaste() {
  workspace.show({ paste: null })
}

/** Shows what is about to be pasted before the shell runs it. */
export function PasteDialog() {
  const { paste } = useWorkspace()
  const review = paste?.review
  const name = paste ? workspace.pane(paste.pane)?.state.target?.name : undefined
  return (
    <Dialog
      open={paste !== null}
      onClose={cancelPaste}
      onCloseAutoFocus={focusTerminal}
      width="max-w-2xl"
      title={review && review.lines > 1 ? `Paste ${review.lines.toLocaleString('en')} lines?` : 'Paste this?'}
      description={
        review && (
          <>
            {formatBytes(review.bytes)} into {name ?? 'the terminal'}. Each line end may run a command.
            {review.removed > 0 && ` ${counted(review.removed, 'hidden control character')} ${review.removed === 1 ? 'was' : 'were'} taken out.`}
          </>
        )
      }
      footer={
        <DialogFooter>
          {/* Focused, so that an Enter that was meant for the shell pastes nothing unread. */}
          <Button autoFocus onClick={cancelPaste}>
            Cancel
          </Button>
          <Button variant="primary" onClick={() => workspace.confirmPaste()}>
            Paste
          </Button>
        </DialogFooter>
      }
    >
      <DialogBody>
        <pre data-scrollable className="max-h-64 overflow-auto rounded-lg border border-line bg-sunken p-3 font-mono text-xs">
          {review?.text.slice(0, PREVIEW_CHARACTERS)}
          {review && review.text.length > PREVIEW_CHARACTERS && '\n…'}
        </pre>
      </DialogBody>
    </Dialog>
  )
}

/** Says which sessions end before panes are closed. */
export function CloseDialog() {
  const { closing } = useWorkspace()
  const panes = closing?.flatMap((id) => workspace.pane(id) ?? []).filter((pane) => pane.active) ?? []
  const names = panes.map((pane) => pane.state.target?.name ?? 'a target')
  return (
    <Dialog
      open={closing !== null}
      onClose={() => workspace.show({ closing: null })}
      onCloseAutoFocus={focusTerminal}
      title={panes.length > 1 ? `End ${panes.length} sessions?` : 'End this session?'}
      description={`What runs in the foreground on ${names.join(', ')} is stopped.`}
      footer={
        <DialogFooter>
          <Button onClick={() => workspace.show({ closing: null })}>Keep open</Button>
          <Button variant="danger" autoFocus onClick={() => closing && workspace.close(closing)}>
            End
          </Button>
        </DialogFooter>
      }
    >
      <DialogBody className="pt-1 text-sm text-muted">
        To come back later, leave this page instead: a session is then kept for a short while.
      </DialogBody>
    </Dialog>
  )
}
