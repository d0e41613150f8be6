import type { RecordingHit } from '@/api/types'

/** A line that was found: what matched is marked, the prompt before a command steps back. Places are counted in characters. */
export function MatchText({ hit }: { hit: RecordingHit }) {
  const characters = [...hit.text]
  const { match_from: from, match_length: length, command_from } = hit
  const end = from + length
  const prompt = Math.min(command_from ?? 0, characters.length)
  const piece = (start: number, stop: number) => characters.slice(start, Math.max(start, stop)).join('')
  return (
    <bdi className="break-words whitespace-pre-wrap">
      {from >= prompt ? (
        <>
          {prompt > 0 && <span className="text-faint">{piece(0, prompt)}</span>}
          {piece(prompt, from)}
        </>
      ) : (
        piece(0, from)
      )}
      {length > 0 && <mark className="rounded-sm bg-warning-soft px-px text-warning-text forced-colors:bg-[Highlight] forced-colors:text-[HighlightText]">{piece(from, end)}</mark>}
      {piece(end, characters.length)}
    </bdi>
  )
}
