/** Only what `deploy/dev bench seek` runs: one browser, nothing beside it. */
import { join } from 'node:path'
import { defineConfig } from '@playwright/test'
import suite from '../playwright.config.ts'
import { environment } from '../support/stack.ts'

export default defineConfig({
  ...suite,
  testDir: '.',
  testMatch: 'seek.ts',
  outputDir: join(environment().artifacts, 'failures'),
  workers: 1,
  timeout: 600_000,
})
