import { expect, test } from 'vitest'
import type { Session } from '@/api/types'
import { Elsewhere, type PaneSession } from './elsewhere'

const session = (id: string, target_id = 'db', attached = false) => ({ id, target_id, attached }) as Session

/** A workspace of panes, a hub, and what the person is told. */
function setUp() {
  const world = {
    open: [] as Session[] | null,
    browser: new Set<string>(),
    panes: [] as PaneSession[],
    told: [] as string[],
    tellings: 0,
  }
  const elsewhere = new Elsewhere({
    open: async () => world.open,
    shownInBrowser: async () => world.browser,
    panes: () => world.panes,
    onChange: (sessions) => {
      world.told = sessions.map(({ id }) => id)
      world.tellings += 1
    },
  })
  return { world, elsewhere }
}

test('what is open and shown nowhere is told of', async () => {
  const { world, elsewhere } = setUp()
  world.open = [session('left'), session('here'), session('attached', 'db', true), session('other-window')]
  world.browser.add('other-window')
  world.panes = [{ targetId: 'db', sessionId: 'here', opening: false }]
  await elsewhere.look()
  expect(world.told).toEqual(['left'])
  elsewhere.panesChanged()
  expect(world.tellings, 'nothing changed').toBe(1)
})

test('a session that a pane is opening is not told of, before the pane knows its id and after', async () => {
  const { world, elsewhere } = setUp()
  const pane: PaneSession = { targetId: 'db', sessionId: null, opening: true }
  world.panes = [pane]
  world.open = [session('new')]
  await elsewhere.look()
  expect(world.told).toEqual([])
  // The pane learns which it is; nothing was asked since.
  world.panes = [{ ...pane, sessionId: 'new', opening: false }]
  elsewhere.panesChanged()
  expect(world.told).toEqual([])
  // It goes with its session, and the old answer does not come up.
  world.panes = []
  elsewhere.panesChanged()
  expect(world.told).toEqual([])
  expect(world.tellings).toBe(0)
})

test('the answer that comes after the pane learned the id tells nothing either', async () => {
  const { world, elsewhere } = setUp()
  world.open = [session('new')]
  world.panes = [{ targetId: 'db', sessionId: null, opening: true }]
  const looking = elsewhere.look()
  world.panes = [{ targetId: 'db', sessionId: 'new', opening: true }]
  elsewhere.panesChanged()
  await looking
  expect(world.told).toEqual([])
})

test('another session on the target of a pane that opens is told of once the pane has its own', async () => {
  const { world, elsewhere } = setUp()
  world.open = [session('new'), session('left'), session('far', 'web')]
  world.panes = [{ targetId: 'db', sessionId: null, opening: true }]
  await elsewhere.look()
  expect(world.told).toEqual(['far'])
  world.panes = [{ targetId: 'db', sessionId: 'new', opening: false }]
  elsewhere.panesChanged()
  expect(world.told).toEqual(['left', 'far'])
})

test('a pane that could not open holds nothing back', async () => {
  const { world, elsewhere } = setUp()
  world.open = [session('left')]
  world.panes = [{ targetId: 'db', sessionId: null, opening: true }]
  await elsewhere.look()
  world.panes = [{ targetId: 'db', sessionId: null, opening: false }]
  elsewhere.panesChanged()
  expect(world.told).toEqual(['left'])
})

test('an older answer does not win over a newer one', async () => {
  const answers: ((sessions: Session[]) => void)[] = []
  let told: string[] = []
  const elsewhere = new Elsewhere({
    open: () => new Promise((resolve) => answers.push(resolve)),
    shownInBrowser: async () => null,
    panes: () => [],
    onChange: (sessions) => (told = sessions.map(({ id }) => id)),
  })
  const looks = [elsewhere.look(), elsewhere.look()]
  answers[1]?.([session('now')])
  await looks[1]
  answers[0]?.([session('before')])
  await looks[0]
  expect(told).toEqual(['now'])
})

test('what the hub does not say changes nothing, and what was dismissed stays so', async () => {
  const { world, elsewhere } = setUp()
  world.open = [session('left')]
  await elsewhere.look()
  world.open = null
  await elsewhere.look()
  expect(world.told).toEqual(['left'])
  elsewhere.dismiss()
  expect(world.told).toEqual([])
  world.open = [session('left'), session('later')]
  await elsewhere.look()
  expect(world.told).toEqual(['later'])
})

test('a session that is just being ended here is not told of; one that could not be ended is, when asked again', async () => {
  const { world, elsewhere } = setUp()
  world.open = [session('closing')]
  const failures: ((error: Error) => void)[] = []
  const ending = elsewhere.ending('closing', new Promise((_resolve, reject) => failures.push(reject)))
  await elsewhere.look()
  expect(world.told).toEqual([])
  failures[0]?.(new Error('offline'))
  await expect(ending).rejects.toThrow('offline')
  elsewhere.panesChanged()
  expect(world.told).toEqual([])
  await elsewhere.look()
  expect(world.told).toEqual(['closing'])
})
