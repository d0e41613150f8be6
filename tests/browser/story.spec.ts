/** From signing in to signing out without a mouse. */
import { expect, type Page, test, unique } from './support/fixtures.ts'
import { Terminal } from './support/terminal.ts'

/** Presses Tab until the element that has the keyboard is called so. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  const seen: string[] = []
  for (let step = 0; step < 60; step += 1) {
    const focused = await page.evaluate(() => {
      const element = document.activeElement as HTMLElement | null
      if (!element || element === document.body) return ''
      const labelled = element.getAttribute('aria-labelledby')
      const label = element instanceof HTMLInputElement ? [...(element.labels ?? [])].map((each) => each.textContent).join(' ') : ''
      return (
        element.getAttribute('aria-label') ?? (labelled ? document.getElementById(labelled)?.textContent : null) ?? (label || element.innerText)
      ).trim()
    })
    if (name.test(focused)) {
      const outline = await page.evaluate(() => {
        const element = document.activeElement
        if (!element) return 'none'
        const styles = [getComputedStyle(element), getComputedStyle(element, '::after')]
        return styles.some(({ outlineStyle, boxShadow }) => outlineStyle !== 'none' || boxShadow !== 'none') ? 'seen' : 'none'
      })
      expect(outline, `the focus on ${name} is seen`).toBe('seen')
      return
    }
    seen.push(focused)
    await page.keyboard.press('Tab')
  }
  throw new Error(`Tab never reached ${name}; it was on: ${seen.join(' | ')}`)
}

test('the whole story by keyboard', async ({ browserFor, world, watch }) => {
  const group = await world.group()
  const [web, db] = await Promise.all([
    world.target(group, { name: unique('web') }),
    world.target(group, { name: unique('db'), reason_required: true, environment: 'production' }),
  ])
  const person = await world.person([group])
  const page = await browserFor(null)
  page.on('dialog', (dialog) => void dialog.accept())
  await page.goto('/')
  await expect(page.getByRole('link', { name: /Continue with/ })).toBeVisible()
  await tabTo(page, /^Use a local account/)
  await page.keyboard.press('Enter')
  await expect(page.getByLabel('User name')).toBeFocused()
  await page.keyboard.type(person.username)
  await page.keyboard.press('Tab')
  await page.keyboard.type(person.password)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Launcher' })).toBeVisible()

  // Search, choose with the arrows, connect.
  await expect(page.getByRole('button', { name: /^Connect to/ })).toHaveCount(2)
  await tabTo(page, /^Find a target/)
  await page.keyboard.type(web.name)
  await expect(page.getByRole('button', { name: /^Connect to/ })).toHaveCount(1)
  await page.keyboard.press('ArrowDown')
  await expect(page.getByRole('button', { name: `Connect to ${web.name}` })).toBeFocused()
  await page.keyboard.press('Enter')
  const terminal = new Terminal(page)
  await terminal.ready()
  await terminal.run('echo fir""st', /^first$/m)

  // Tab and Escape belong to the shell; the palette leads to another target, which asks why.
  await page.keyboard.type('cd /us')
  await page.keyboard.press('Tab')
  await terminal.sees(/cd \/usr\//)
  await page.keyboard.press('Control+c')
  await page.keyboard.press('Control+Shift+k')
  await expect(page.getByRole('combobox')).toBeFocused()
  await page.keyboard.type(db.name)
  await expect(page.getByRole('option')).toHaveCount(1)
  await page.keyboard.press('Enter')
  await expect(page.getByLabel('Reason')).toBeFocused()
  await page.keyboard.type('Ticket 7')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('tab')).toHaveCount(2)
  await terminal.ready()
  await terminal.run('echo sec""ond', /^second$/m)

  // Between tabs, beside each other, and out again.
  await page.keyboard.press('Control+Shift+[')
  await terminal.sees(/^first$/m)
  await page.keyboard.press('Control+Shift+]')
  await terminal.sees(/^second$/m)
  await page.keyboard.press('Control+Shift+x')
  await expect(page.getByRole('dialog', { name: 'End this session?' })).toBeVisible()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('tab')).toHaveCount(1)
  await page.keyboard.press('Control+Shift+k')
  // It is loaded when it is first asked for; what is typed before that is the shell's.
  await expect(page.getByPlaceholder('Type a target or a page…')).toBeFocused()
  await page.keyboard.type('my sessions')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'My sessions' })).toBeVisible()
  // A list that renews itself may ask once more in the moment in which one signs out.
  watch.expect('/api/v1/sessions?')
  await tabTo(page, /You:/)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('menuitem', { name: 'Your profile' })).toBeVisible()
  await page.keyboard.press('End')
  await expect(page.getByRole('menuitem', { name: 'Sign out' })).toBeFocused()
  await page.keyboard.press('Enter')
  // A session is still open: it would end, so the person is asked.
  await expect(page.getByRole('dialog', { name: 'Sign out?' })).toContainText(web.name)
  await tabTo(page, /^Sign out$/)
  await page.keyboard.press('Enter')
  await expect(page.getByText('You are signed out')).toBeVisible()
})
