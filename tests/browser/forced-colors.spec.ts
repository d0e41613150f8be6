/** The system's own colours: what is chosen, switched on or the way on is marked without ours. */
import type { Locator } from '@playwright/test'
import { expect, type Page, test } from './support/fixtures.ts'
import { settled } from './support/pages.ts'

const colours = (locator: Locator) =>
  locator.evaluate((element) => {
    const { backgroundColor, borderTopWidth, borderTopStyle } = getComputedStyle(element)
    return { background: backgroundColor, bordered: borderTopStyle !== 'none' && Number.parseFloat(borderTopWidth) > 0 }
  })

/** A colour of the system, as it is computed here. */
const system = (page: Page, name: string) =>
  page.evaluate((colour) => {
    const probe = document.createElement('span')
    probe.style.cssText = `forced-color-adjust: none; background-color: ${colour}`
    document.body.append(probe)
    const { backgroundColor } = getComputedStyle(probe)
    probe.remove()
    return backgroundColor
  }, name)

test('switches, tabs, the current page, buttons and the chosen row are marked in forced colours', async ({ browserFor, world, picture }) => {
  const group = await world.group()
  await Promise.all([world.target(group, { trust: false }), world.target(group, { trust: false })])
  const administrator = await world.person([group], ['admin'])
  const page = await browserFor(administrator.api, { forcedColors: 'active' })
  await page.goto('/settings')
  await settled(page)
  const highlight = await system(page, 'Highlight')
  const knob = page.getByRole('switch', { name: 'Ask for a reason everywhere' })
  expect(await colours(knob)).toMatchObject({ bordered: true })
  const off = await colours(knob)
  await knob.click()
  await expect.poll(() => colours(knob)).toEqual({ background: highlight, bordered: true })
  expect(off.background, 'on and off differ').not.toBe(highlight)
  await picture(page, 'forced-colors-settings')
  expect(await colours(page.getByRole('button', { name: 'Save settings' }))).toMatchObject({ bordered: true })
  expect(await colours(page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Settings' }))).toMatchObject({ background: highlight })
  await page.getByRole('button', { name: 'Discard' }).click()

  await page.goto('/')
  await settled(page)
  expect(await colours(page.getByRole('tab', { name: 'Recent' }))).toMatchObject({ background: highlight })
  expect(await colours(page.getByRole('tab', { name: 'Name' }))).not.toMatchObject({ background: highlight })
  await picture(page, 'forced-colors-launcher')
  await page.keyboard.press('Control+k')
  await expect(page.getByRole('option', { selected: true })).toBeVisible()
  expect(await colours(page.getByRole('option', { selected: true }))).toMatchObject({ background: highlight })
  await picture(page, 'forced-colors-palette')
  await page.keyboard.press('Escape')
  await page.goto('/terminal')
  await expect(page.getByRole('option', { selected: true })).toBeVisible()
  expect(await colours(page.getByRole('option', { selected: true }))).toMatchObject({ background: highlight })
  await picture(page, 'forced-colors-picker')
})
