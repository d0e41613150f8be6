/** What is looked for, where it stands on the screen of a recording. */

const ALL = 'recording-find'
/** Of the hit that the player stopped at. */
const HERE = 'recording-find-here'

interface Piece {
  /** Where it begins in the text of the screen. */
  from: number
  node: Text
}

/** What the drawer tells of a piece of a line: the column it begins at. */
const columnOf = (span: Element): number => Number((span as HTMLElement).style.getPropertyValue('--offset')) || 0

/** The screen's text in one piece: a line that fills the width goes on in the next one. */
function textOfScreen(screen: ParentNode, columns: number): { text: string; pieces: Piece[] } {
  let text = ''
  const pieces: Piece[] = []
  for (const line of screen.querySelectorAll('.ap-line')) {
    let column = 0
    for (const span of line.children) {
      const node = span.firstChild
      if (!(node instanceof Text)) continue
      // Cells without anything in them are not drawn.
      if (columnOf(span) > column) text += ' '
      pieces.push({ from: text.length, node })
      text += node.data
      column = Math.max(column, columnOf(span)) + [...node.data].length
    }
    if (column < columns) text += '\n'
  }
  return { text, pieces }
}

/** As the hub looks for it: whatever the case, and any white space for white space. */
function pattern(wanted: string): RegExp | null {
  const words = wanted.trim().split(/\s+/).filter(Boolean)
  if (words.length === 0) return null
  return new RegExp(words.map((word) => word.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('[^\\S\\n]+'), 'giu')
}

/** Where a text stands on a screen of this width. */
export function rangesOf(screen: ParentNode, wanted: string, columns: number): Range[] {
  const expression = pattern(wanted)
  if (!expression) return []
  const { text, pieces } = textOfScreen(screen, columns)
  return [...text.matchAll(expression)].flatMap(({ 0: found, index }) => {
    const end = index + found.length
    const first = pieces.find(({ from, node }) => from + node.data.length > index)
    const last = pieces.findLast(({ from }) => from < end)
    if (!first || !last) return []
    const range = document.createRange()
    range.setStart(first.node, Math.max(0, index - first.from))
    range.setEnd(last.node, Math.min(last.node.data.length, end - last.from))
    return [range]
  })
}

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))

const isWithin = (range: Range, outer: Range): boolean =>
  outer.compareBoundaryPoints(Range.START_TO_START, range) <= 0 && outer.compareBoundaryPoints(Range.END_TO_END, range) >= 0

/** Marks a text wherever a screen shows it, for as long as it is looked for. */
export class Marks {
  readonly #screen: HTMLElement
  readonly #columns: () => number
  readonly #changes = new MutationObserver(() => this.#schedule())
  #wanted = ''
  #line = ''
  #frame = 0

  constructor(screen: HTMLElement, columns: () => number) {
    this.#screen = screen
    this.#columns = columns
  }

  /** Marks this from now on, and more so in this line; nothing when it is empty. */
  mark(wanted: string, line = ''): void {
    this.#wanted = wanted
    this.#line = line
    this.#changes.disconnect()
    if (wanted !== '') this.#changes.observe(this.#screen, { childList: true, subtree: true, characterData: true })
    this.#draw()
  }

  /** Whether the screen shows this line, or only what is marked, once what was last asked for is drawn. */
  async shows(line: string): Promise<'line' | 'text' | null> {
    await frame()
    await frame()
    if (this.#find(line).length > 0) return 'line'
    return this.#find(this.#wanted).length > 0 ? 'text' : null
  }

  dispose(): void {
    this.#changes.disconnect()
    cancelAnimationFrame(this.#frame)
    show(ALL, [], 0)
    show(HERE, [], 1)
  }

  #find(text: string): Range[] {
    return rangesOf(this.#screen, text, this.#columns())
  }

  #schedule(): void {
    cancelAnimationFrame(this.#frame)
    this.#frame = requestAnimationFrame(() => this.#draw())
  }

  #draw(): void {
    const ranges = this.#find(this.#wanted)
    const line = this.#line === '' ? undefined : this.#find(this.#line).at(-1)
    show(ALL, ranges, 0)
    show(HERE, line ? ranges.filter((range) => isWithin(range, line)) : [], 1)
  }
}

/** Without touching what the drawer made; a browser that cannot shows the text unmarked. */
function show(name: string, ranges: Range[], priority: number): void {
  if (!('highlights' in CSS)) return
  if (ranges.length === 0) {
    CSS.highlights.delete(name)
    return
  }
  const highlight = new Highlight(...ranges)
  highlight.priority = priority
  CSS.highlights.set(name, highlight)
}
