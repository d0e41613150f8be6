/** The console's pages. */
import { expect, type Page } from '@playwright/test'

/** Address and heading of every page that needs no id. */
export const PAGES = [
  ['/', 'Launcher'],
  ['/my-sessions', 'My sessions'],
  ['/sessions', 'Sessions'],
  ['/ledger', 'Ledger'],
  ['/zones', 'Zones'],
  ['/sites', 'Sites'],
  ['/targets', 'Targets'],
  ['/credentials', 'Credentials'],
  ['/users', 'Users'],
  ['/groups', 'Groups'],
  ['/service-accounts', 'Service accounts'],
  ['/events', 'Events'],
  ['/settings', 'Settings'],
  ['/system', 'System'],
  ['/profile', 'Your profile'],
  ['/setup', 'Set up'],
] as const

/** Waits until a page shows what it loads. */
export async function settled(page: Page): Promise<void> {
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  await expect(page.getByRole('status', { name: 'Loading' })).toHaveCount(0)
}

/** Waits until nothing moves any more, but for what has no end, such as a cursor that blinks. */
export async function still(page: Page): Promise<void> {
  await page.evaluate(() => {
    const ending = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().iterations !== Infinity)
    return Promise.all(ending.map((animation) => animation.finished.catch(() => undefined)))
  })
}
