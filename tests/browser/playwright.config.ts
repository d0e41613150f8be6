/** Chromium of the system, against hubs of the suite's own on the stack's real servers. */
import { join } from 'node:path'
import { defineConfig } from '@playwright/test'
import { environment } from './support/stack.ts'

const { artifacts, chromium } = environment()

export default defineConfig({
  testDir: '.',
  outputDir: join(artifacts, 'failures'),
  // A worker has a hub of its own; the tests in one share it, one after another.
  workers: 2,
  fullyParallel: false,
  forbidOnly: true,
  // Only unattended, where one test of many on a busy machine must not cost the whole run: `deploy/dev test` names
  // each that needed its second try.
  retries: process.env.CI ? 1 : 0,
  timeout: 90_000,
  // Generous, for machines that build something beside it; what has a limit of its own says so.
  expect: { timeout: 20_000 },
  reporter: [['list', { printSteps: false }]],
  use: {
    viewport: { width: 1440, height: 900 },
    colorScheme: 'dark',
    locale: 'en-GB',
    timezoneId: 'UTC',
    actionTimeout: 20_000,
    navigationTimeout: 30_000,
    screenshot: 'only-on-failure',
    trace: 'off',
    launchOptions: {
      executablePath: chromium,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
})
