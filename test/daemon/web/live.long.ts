import { rmSync, writeFileSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Shops, shops } from '../../process/shops.ts'
import { freePort } from '../../support/daemons.ts'
import { describeInBrowser } from './in-browser.ts'
import { DESK, seriousIn, startBrowser, watchFor } from './support.ts'

// The page of a real daemon while four real daemons replace themselves, and go back: `npm run test:page`.

describeInBrowser('the page of a daemon whose group rolls', () => {
  let shop: Shops
  let browser: Browser
  let page: Page
  let wrong: string[]
  beforeAll(async () => {
    const port = await freePort()
    shop = await shops(['--web', `127.0.0.1:${port}`])
    expect((await shop.start('v1', '--strategy', 'at-once')).code).toBe(0)
    browser = await startBrowser()
    page = await browser.newPage({ viewport: DESK })
    page.setDefaultTimeout(60_000)
    const url = `http://127.0.0.1:${port}/`
    wrong = watchFor(page, url)
    await page.goto(`${url}#/rollouts/web`)
    await page.getByRole('heading', { name: 'Rollout of web' }).waitFor()
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    await shop?.box.close()
  })

  const bar = (label: string, says: RegExp): Promise<void> =>
    page.getByRole('img', { name: new RegExp(`^${label}:${says.source}`) }).waitFor()
  const phase = (is: string): Promise<void> => page.locator(`.phase.${is}`).waitFor()
  const holds = (name: string): Promise<void> =>
    page.getByRole('row', { name: new RegExp(`^${name} replace`) }).waitFor()
  const reason = (text: RegExp): Promise<void> => page.locator('.whys dd', { hasText: text }).first().waitFor()
  const nobodyHolds = (): Promise<void> => page.getByText('Nobody holds one').waitFor()

  test('it shows waves, who holds a permit, and what the others wait for, as it happens', async () => {
    await phase('done')
    await bar('Progress', / 4 on it$/)
    // What replaces n3, which goes first, is not healthy for as long as the file is there.
    writeFileSync(shop.sickness('n3'), '')
    await shop.started('v2', '--strategy', 'waves', '--waves', '1,50%', '--soak', '1h', '--order-by', 'place')
    await phase('rolling')
    await holds('n3')
    await bar('Progress', / 1 being replaced, 3 to go$/)
    await bar('Wave 1', / 1 to go$/)
    await bar('Wave 3', / 2 to go$/)
    await reason(/wave 1 is under way/)
    rmSync(shop.sickness('n3'))
    await phase('soaking')
    await nobodyHolds()
    await bar('Wave 1', / 1 on it$/)
    await page.getByText(/1 member · soaking for another/).waitFor()
    await reason(/wave 1 of 3 must stay well/)
    expect(await seriousIn(page)).toEqual([])
  }, 180_000)

  test('and its undoing, back to what ran before', async () => {
    writeFileSync(shop.sickness('n2'), '')
    await shop.verb('promote')
    await holds('n2')
    await bar('Progress', / 1 on it, 1 being replaced, 2 to go$/)
    await shop.verb('undo')
    rmSync(shop.sickness('n2'))
    await phase('reversing')
    await page.getByText('being undone').waitFor()
    await phase('rolled-back')
    await nobodyHolds()
    await page
      .getByRole('grid', { name: 'Members of web' })
      .getByRole('row', { name: /n3 .*shop:v1/ })
      .waitFor()
    expect(wrong).toEqual([])
  }, 180_000)
})
