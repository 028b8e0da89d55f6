import type { BrowserContextOptions } from 'playwright-core'
import { servePage, showFleet, startBrowser } from './support.ts'

/** Makes the pictures in docs/page: `npm run screenshots`. */
const DESK = { viewport: { width: 1000, height: 720 } }
const PHONE = { viewport: { width: 390, height: 760 }, isMobile: true, hasTouch: true }

const served = await servePage()
const browser = await startBrowser()

async function shoot(file: string, hash: string, count: number, options: BrowserContextOptions): Promise<void> {
  showFleet(served, count)
  const context = await browser.newContext(options)
  const page = await context.newPage()
  await page.goto(`${served.url}${hash}`)
  await page.locator('h1').waitFor()
  await page.waitForLoadState('load')
  await page
    .locator(hash === '#/members' ? '.row' : '.bar, .card')
    .first()
    .waitFor()
  await page.screenshot({ path: `docs/page/${file}.png` })
  await context.close()
}

await shoot('fleet-of-5', '', 5, DESK)
await shoot('fleet-of-5000-dark', '', 5_000, { viewport: { width: 1000, height: 900 }, colorScheme: 'dark' })
await shoot('rollout', '#/rollouts/web', 60, DESK)
await shoot('members-phone', '#/members', 120, PHONE)
await browser.close()
await served.close()
