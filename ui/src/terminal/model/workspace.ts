import { toast } from 'sonner'
import { queryClient } from '@/lib/query-client'
import type { Preferences, Session } from '@/api/types'
import { sessionsShownHere } from '@/lib/session-locks'
import { PaneController, type PaneHost } from '../pane/controller'
import { fetchActiveSessions, fetchPreferences, storePreferences } from '../services'
import { Elsewhere } from './elsewhere'
import {
  activatePane,
  activeTab,
  addTab,
  allPanes,
  closePane,
  type Direction,
  EMPTY_LAYOUT,
  type Layout,
  MAX_PANES,
  panesOf,
  splitPane,
} from './layout'
import { DEFAULT_PREFERENCES, readPreferences, type TerminalPreferences } from './preferences'
import { reviewPaste, type PasteReview } from './paste'
import { loadWorkspace, saveWorkspace, type StoredPane } from './storage'

export interface WorkspaceState {
  layout: Layout
  preferences: TerminalPreferences
  /** A paste that waits for a yes. */
  paste: { pane: string; review: PasteReview } | null
  /** Panes that wait for a yes to being closed. */
  closing: readonly string[] | null
  picking: boolean
  settings: boolean
  finding: string | null
  /** Own sessions that are still open but not in this window. */
  elsewhere: readonly Session[]
  /** Grows when a pane changed something that tabs show. */
  revision: number
}

const PREFERENCES_KEY = ['preferences']
const SAVE_AFTER_MILLISECONDS = 600
const identifier = () => crypto.randomUUID()

/** Everything of the workspace that outlives a page of the application: it keeps its terminals while the person looks elsewhere. */
export class Workspace {
  readonly #panes = new Map<string, PaneController>()
  readonly #listeners = new Set<() => void>()
  #appearance: 'light' | 'dark' = 'dark'
  #saveTimer: ReturnType<typeof setTimeout> | null = null
  #started = false
  #userId: string | null = null
  readonly #elsewhere = new Elsewhere({
    open: async () => {
      const answer = this.#userId === null ? null : await fetchActiveSessions(this.#userId)
      return answer?.ok ? answer.value : null
    },
    shownInBrowser: sessionsShownHere,
    panes: () => [...this.#panes.values()].map(({ targetId, listens, state }) => ({ targetId, sessionId: state.sessionId, opening: listens })),
    onChange: (elsewhere) => this.#set({ elsewhere }),
  })
  #ended = 0
  #restored = false
  #state: WorkspaceState = {
    layout: EMPTY_LAYOUT,
    preferences: DEFAULT_PREFERENCES,
    paste: null,
    closing: null,
    picking: false,
    settings: false,
    finding: null,
    elsewhere: [],
    revision: 0,
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readonly getState = (): WorkspaceState => this.#state

  pane(id: string): PaneController | undefined {
    return this.#panes.get(id)
  }

  get activePane(): PaneController | undefined {
    const tab = activeTab(this.#state.layout)
    return tab ? this.#panes.get(tab.activePane) : undefined
  }

  /** Brings back what was open before a reload; the first time only. */
  async start(userId: string, appearance: 'light' | 'dark'): Promise<void> {
    this.setAppearance(appearance)
    if (this.#started) return
    this.#started = true
    window.addEventListener('beforeunload', (event) => {
      if ([...this.#panes.values()].some((pane) => pane.active)) event.preventDefault()
    })
    // After a sleep or a change of network the old socket is usually dead without saying so.
    let offline = false
    window.addEventListener('offline', () => (offline = true))
    window.addEventListener('online', () => {
      for (const pane of this.#panes.values()) {
        if (offline) pane.refreshConnection()
        pane.retryNow()
      }
      offline = false
    })
    this.#restore()
    try {
      const preferences = await queryClient.ensureQueryData({ queryKey: PREFERENCES_KEY, queryFn: fetchPreferences })
      this.#applyPreferences(readPreferences(preferences.terminal))
    } catch {
      // Defaults serve until the hub answers again.
    }
    const visible = activeTab(this.#state.layout)
    for (const [id, pane] of this.#panes) {
      if (!visible || !panesOf(visible.root).includes(id)) pane.startHidden()
    }
    this.#userId = userId
    await this.findElsewhere()
  }

  /** Opens a target in a tab of its own. */
  open(targetId: string, credentialId: string | null, reason: string | null, sessionId: string | null = null): void {
    // Before something is added and kept: what was kept would be gone.
    this.#restore()
    const shown = sessionId === null ? undefined : [...this.#panes.values()].find((pane) => pane.state.sessionId === sessionId)
    if (shown) {
      this.change((layout) => activatePane(layout, shown.id))
      return
    }
    if (!this.#hasRoom()) return
    const id = identifier()
    this.#create(id, { targetId, credentialId, sessionId }, reason)
    this.change((layout) => addTab(layout, identifier(), id))
    this.#set({ picking: false })
    this.#elsewhere.panesChanged()
  }

  /** Another session of the pane's target, beside it or in a new tab. */
  duplicate(pane: PaneController, where: Direction | 'tab'): void {
    const { credentialId } = pane.state
    if (where === 'tab') {
      this.open(pane.targetId, credentialId, pane.reason)
      return
    }
    if (!this.#hasRoom()) return
    const id = identifier()
    this.#create(id, { targetId: pane.targetId, credentialId, sessionId: null }, pane.reason)
    this.change((layout) => splitPane(layout, pane.id, where, id, identifier()))
  }

  /** Closes panes; asks first where a session would end. */
  requestClose(panes: readonly string[]): void {
    if (panes.some((id) => this.#panes.get(id)?.active)) this.#set({ closing: panes })
    else this.close(panes)
  }

  close(panes: readonly string[]): void {
    this.#set({ closing: null })
    for (const id of panes) {
      const pane = this.#panes.get(id)
      this.#panes.delete(id)
      this.change((layout) => closePane(layout, id))
      if (!pane) continue
      // The hub's answer may still come; until then the session is on its list.
      const over = pane.disconnect().finally(() => new Promise((resolve) => setTimeout(resolve, pane.active ? 1000 : 0)))
      void this.#elsewhere.ending(pane.state.sessionId, over).finally(() => pane.dispose())
    }
  }

  change(change: (layout: Layout) => Layout): void {
    this.#set({ layout: change(this.#state.layout) })
    this.#save()
  }

  show(change: Partial<Pick<WorkspaceState, 'picking' | 'settings' | 'finding' | 'closing' | 'paste'>>): void {
    this.#set(change)
  }

  confirmPaste(): void {
    const { paste } = this.#state
    this.#set({ paste: null })
    if (paste) this.#panes.get(paste.pane)?.paste(paste.review.text)
  }

  requestPaste(pane: string, text: string): void {
    if (text === '' || !this.#panes.get(pane)?.listens) return
    const review = reviewPaste(text, this.#state.preferences.confirmPaste)
    if (review.needsConfirmation) this.#set({ paste: { pane, review } })
    else this.#panes.get(pane)?.paste(review.text)
  }

  setPreferences(change: Partial<TerminalPreferences>): void {
    const next = readPreferences({ ...this.#state.preferences, ...change })
    this.#applyPreferences(next)
    const all = queryClient.setQueryData<Preferences>(PREFERENCES_KEY, (before) => ({ ...before, terminal: next }))
    if (this.#saveTimer !== null) clearTimeout(this.#saveTimer)
    this.#saveTimer = setTimeout(() => {
      // Losing a preference is not worth a message.
      storePreferences(all ?? { terminal: next }).catch(() => undefined)
    }, SAVE_AFTER_MILLISECONDS)
  }

  setAppearance(appearance: 'light' | 'dark'): void {
    if (appearance === this.#appearance) return
    this.#appearance = appearance
    this.#applyPreferences(this.#state.preferences)
  }

  /** Brings back the arrangement of before a reload; the first time only. */
  #restore(): void {
    if (this.#restored) return
    this.#restored = true
    const stored = loadWorkspace()
    if (!stored) return
    for (const [id, pane] of Object.entries(stored.panes)) this.#create(id, pane, null).restored()
    this.#set({ layout: stored.layout })
  }

  #hasRoom(): boolean {
    if (allPanes(this.#state.layout).length < MAX_PANES) return true
    toast.warning(`${MAX_PANES} terminals are open`, { description: 'Close one before you open another.' })
    return false
  }

  #create(id: string, stored: StoredPane, reason: string | null): PaneController {
    const host: PaneHost = {
      preferences: () => this.#state.preferences,
      appearance: () => this.#appearance,
      isVisible: (pane) => {
        const tab = activeTab(this.#state.layout)
        return tab !== undefined && panesOf(tab.root).includes(pane)
      },
      onPaste: (pane, text) => this.requestPaste(pane, text),
      onFocus: (pane) => {
        if (activeTab(this.#state.layout)?.activePane !== pane) this.change((layout) => activatePane(layout, pane))
      },
      onChanged: () => {
        this.#set({ revision: this.#state.revision + 1 })
        this.#save()
        this.#elsewhere.panesChanged()
        this.#countEnded()
      },
      warn: (title, description) => toast.warning(title, { description, id: title }),
      tell: (title, description) => toast(title, { description, id: title }),
    }
    const pane = new PaneController(id, stored, reason, host)
    this.#panes.set(id, pane)
    return pane
  }

  /** Asks which own sessions are open and shown nowhere: some may have ended, here or by themselves. */
  async findElsewhere(): Promise<void> {
    await this.#elsewhere.look()
  }

  dismissElsewhere(): void {
    this.#elsewhere.dismiss()
  }

  #countEnded(): void {
    const before = this.#ended
    this.#ended = [...this.#panes.values()].filter((pane) => pane.state.connection.phase === 'ended').length
    if (this.#ended > before) void this.findElsewhere()
  }

  #applyPreferences(preferences: TerminalPreferences): void {
    this.#set({ preferences })
    for (const pane of this.#panes.values()) pane.screen.configure(preferences, this.#appearance)
  }

  #save(): void {
    const panes: Record<string, StoredPane> = {}
    for (const [id, pane] of this.#panes) panes[id] = pane.stored
    saveWorkspace({ layout: this.#state.layout, panes })
  }

  #set(change: Partial<WorkspaceState>): void {
    this.#state = { ...this.#state, ...change }
    for (const listener of this.#listeners) listener()
  }
}

export const workspace = new Workspace()
