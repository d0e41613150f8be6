/** What axe says about a page. */
import type { Page } from '@playwright/test'
import axe from 'axe-core'
import { still } from './pages.ts'

export interface Finding {
  id: string
  impact: string
  targets: string[]
}

/** What axe finds serious or critical, with where it is. Samples of colour schemes are as those who made them wanted; their names stand beside them. */
export async function findings(page: Page): Promise<Finding[]> {
  // Colours in the middle of a transition are nobody's.
  await still(page)
  await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const { axe: runner } = window as unknown as { axe: typeof axe }
    const { violations } = await runner.run({ exclude: [['[data-sample]']] }, {
      runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] },
      resultTypes: ['violations'],
    })
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, impact, nodes }) => ({
        id,
        impact: impact ?? '',
        targets: nodes.map((node) => `${node.target.join(' ')}: ${node.any[0]?.message ?? node.html.slice(0, 120)}`),
      }))
  })
}
