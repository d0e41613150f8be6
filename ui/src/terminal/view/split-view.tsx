import { type PointerEvent as ReactPointerEvent, useRef } from 'react'
import { cn } from '@/lib/cn'
import { type LayoutNode, setRatio, type Tab } from '../model/layout'
import { workspace } from '../model/workspace'
import { Pane } from './pane'

const capture = (event: ReactPointerEvent<HTMLDivElement>) => event.currentTarget.setPointerCapture(event.pointerId)

/** Beside each other on a phone, neither could be read. */
const STACKED_ON_PHONES = 'flex-row max-sm:flex-col'

/** A tab's tree of panes with the bars between them. */
export function SplitView({ node, tab }: { node: LayoutNode; tab: Tab }) {
  const box = useRef<HTMLDivElement>(null)
  if (node.kind === 'pane') {
    const pane = workspace.pane(node.id)
    return pane ? <Pane key={node.id} pane={pane} active={tab.activePane === node.id} alone={tab.root.kind === 'pane'} /> : null
  }
  const row = node.direction === 'row'
  const move = (event: ReactPointerEvent<HTMLDivElement>) => {
    const frame = box.current
    const bounds = frame?.getBoundingClientRect()
    if (!frame || !bounds || !event.currentTarget.hasPointerCapture(event.pointerId)) return
    const ratio = getComputedStyle(frame).flexDirection === 'row' ? (event.clientX - bounds.left) / bounds.width : (event.clientY - bounds.top) / bounds.height
    workspace.change((layout) => setRatio(layout, node.id, ratio))
  }
  const step = (by: number) => workspace.change((layout) => setRatio(layout, node.id, node.ratio + by))
  const share = `${node.ratio * 100}%`
  return (
    <div ref={box} className={cn('flex h-full w-full min-h-0 min-w-0', row ? STACKED_ON_PHONES : 'flex-col')}>
      <div className="min-h-0 min-w-0 shrink-0 grow-0" style={{ flexBasis: `calc(${share} - 2px)` }}>
        <SplitView node={node.first} tab={tab} />
      </div>
      <div
        role="separator"
        tabIndex={0}
        aria-label="Size of the panes"
        aria-orientation={row ? 'vertical' : 'horizontal'}
        aria-valuenow={Math.round(node.ratio * 100)}
        onPointerDown={capture}
        onPointerMove={move}
        onDoubleClick={() => workspace.change((layout) => setRatio(layout, node.id, 0.5))}
        onKeyDown={(event) => {
          if (event.key === (row ? 'ArrowLeft' : 'ArrowUp')) step(-0.02)
          if (event.key === (row ? 'ArrowRight' : 'ArrowDown')) step(0.02)
        }}
        className={cn(
          'shrink-0 touch-none bg-line hover:bg-accent focus-visible:bg-accent',
          row ? 'w-1 cursor-col-resize max-sm:h-1 max-sm:w-full max-sm:cursor-row-resize' : 'h-1 cursor-row-resize',
        )}
      />
      <div className="min-h-0 min-w-0 flex-1">
        <SplitView node={node.second} tab={tab} />
      </div>
    </div>
  )
}
