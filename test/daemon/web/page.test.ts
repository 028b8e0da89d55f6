import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RolloutStatusView } from '../../../protocol/index.ts'
import { describeInBrowser } from './in-browser.ts'
import { DESK, type Served, seriousIn, servePage, showFleet, startBrowser, watchFor } from './support.ts'

describeInBrowser('the page in a browser', () => {
  let browser: Browser
  let page: Page
  let served: Served
  let wrong: string[]
  beforeAll(async () => {
    served = await servePage()
    showFleet(served, 150)
    browser = await startBrowser()
    page = await browser.newPage({ viewport: DESK })
    // The page asks some things every second; a test that waits for the next time lets the page's clock run ahead.
    await page.clock.install()
    wrong = watchFor(page, served.url)
  })
  afterAll(async () => {
    await browser?.close()
    await served?.close()
  })

  /** Runs `look` on the page at `hash`; nothing may have gone wrong in it by the end. */
  async function visit(hash: string, look: (page: Page) => Promise<void>): Promise<void> {
    await page.goto('about:blank')
    await page.goto(`${served.url}${hash}`)
    await page.locator('h1').waitFor()
    await look(page)
    expect(wrong.splice(0)).toEqual([])
  }

  test('the fleet is told at a glance: how many are how, where, what runs, and what needs attention', () =>
    visit('', async page => {
      expect(await page.locator('h1').textContent()).toMatch(/150 members/)
      expect(await page.locator('.tally').textContent()).toMatch(/\d+ failed.*\d+ failing checks.*\d+ suspect/s)
      expect(await page.locator('.map tbody tr').count()).toBe(8)
      const cells = await page.locator('.map a.cell').evaluateAll(all => all.map(each => each.textContent!))
      const counted = cells.map(label => Number(/: (\d+) members/.exec(label)![1]))
      expect(counted.reduce((sum, count) => sum + count)).toBe(150)
      expect(await page.locator('.attention').textContent()).toContain('connection refused')
      expect(await page.locator('.layer').textContent()).toContain('shop:v2')
    }))

  test('the list is found in with the keyboard alone, and only the rows in sight exist', () =>
    visit('#/members', async page => {
      const list = page.getByRole('grid', { name: 'Members' })
      expect(await list.getAttribute('aria-rowcount')).toBe('151')
      expect(await list.getByRole('row').count()).toBeLessThan(80)
      const scrolled = await list.elementHandle()
      await list.focus()
      await page.keyboard.press('End')
      const last = await list.getAttribute('aria-activedescendant')
      await page.locator(`[id="${last}"]`).waitFor()
      const rows = served.fake.members.map(({ name }) => name)
      await page.keyboard.press('Home')
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'Layers' }).waitFor()
      // A scroll is told of a frame later, when the list may be gone.
      await scrolled!.evaluate(gone => gone.dispatchEvent(new Event('scroll')))
      expect(rows).toContain((await page.locator('h1').textContent())!.trim())
      await page.goBack()
      await page.getByLabel('Find').fill('web-12')
      await page.getByText(/^\d+ of 150 members$/).waitFor()
      await page.getByRole('gridcell', { name: 'web-12', exact: true }).click()
      await page.getByRole('heading', { level: 1, name: 'web-12' }).waitFor()
      expect(await page.evaluate('document.activeElement.tagName')).toBe('MAIN')
    }))

  test('a member and the reason why it waits', async () => {
    const waiting = served.fake.members.find(({ layers }) => layers.some(({ state }) => state === 'waiting'))!
    await visit(`#/members/${waiting.id}`, async page => {
      await page.getByText('waiting for the canary to be healthy').waitFor()
      expect(await page.locator('dl').textContent()).toMatch(/Zone.*Group.*192\.0\.2\.10:7946.*rack=r/s)
    })
  })

  test('a rollout is seen live: permits, failures, the reason of a pause, and its undoing', () =>
    visit('#/rollouts/web', async page => {
      const bar = page.getByRole('img', { name: /^Progress:/ })
      await page.getByText('rolling').waitFor()
      expect(await page.locator('table').first().textContent()).toMatch(/replace.*41/s)
      const { ok } = served.fake.status
      expect(await bar.getAttribute('aria-label')).toContain(`${ok} on it`)
      const push = async (change: Partial<RolloutStatusView>): Promise<void> => {
        served.fake.push(change)
        await page.clock.runFor(1_000)
      }
      await push({ ok: ok + 1, failed: 2, phase: 'paused', permits: [], reason: '2 of 2 failures that are allowed' })
      await page.getByText('2 of 2 failures that are allowed').waitFor()
      expect(await bar.getAttribute('aria-label')).toMatch(new RegExp(`${ok + 1} on it, 2 failed`))
      await page.getByText('Nobody holds one').waitFor()
      await push({ phase: 'reversing', reason: 'undone: it failed on web-21' })
      await page.getByText('being undone').waitFor()
      await push({ phase: 'rolled-back' })
      await page.locator('.phase.rolled-back').waitFor()
      await page.getByRole('heading', { name: 'Ledger' }).waitFor()
    }))

  test('what changes among the members is shown without asking again', () =>
    visit('#/members', async page => {
      await page.getByLabel('Find').fill('store-14')
      const row = page.getByRole('row', { name: /store-14 / })
      await row.getByText('well').waitFor()
      served.fake.members = served.fake.members.map(each =>
        each.name === 'store-14' ? { ...each, status: 'failed' } : each,
      )
      served.fake.push({})
      await row.getByText('failed').waitFor()
      served.fake.members = served.fake.members.filter(({ name }) => name !== 'store-14')
      served.fake.push({})
      await row.waitFor({ state: 'detached' })
    }))

  test('events come as they are fired, with what they carry', () =>
    visit('#/events', async page => {
      served.fake.deliver('deploy', Buffer.from('v2 <b>of the shop</b>'))
      await page.getByRole('cell', { name: 'v2 <b>of the shop</b>' }).waitFor()
      served.fake.deliver('blob', Uint8Array.of(0, 255, 7))
      await page.getByRole('cell', { name: '3 bytes' }).waitFor()
    }))

  test.each(['', '#/members', '#/rollouts/web'])(
    'at "%s" axe finds nothing serious, and on a phone nothing is too wide',
    hash =>
      visit(hash, async page => {
        expect(await seriousIn(page)).toEqual([])
        await page.setViewportSize({ width: 390, height: 780 })
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
        await page.setViewportSize(DESK)
      }),
  )

  test('a page of another origin reads nothing', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    // The same machine and another port is another origin.
    const other = await servePage()
    await page.route(other.url, route => route.fulfill({ contentType: 'text/html', body: 'no policy of its own' }))
    await page.goto(other.url)
    const got = (await page.evaluate(`(async () => {
      const url = ${JSON.stringify(served.url)}
      const tries = [fetch(url + 'v1/info'), fetch(url + 'v1/info', { mode: 'no-cors' })]
      const answers = await Promise.all(tries.map(each => each.then(response => response.text(), error => String(error))))
      const script = document.createElement('script')
      script.src = url + 'v1/members'
      const ran = new Promise(done => {
        script.onload = () => done('loaded')
        script.onerror = () => done('refused')
      })
      document.head.append(script)
      return [...answers, await ran]
    })()`)) as string[]
    expect(JSON.stringify(got)).not.toContain('alpha')
    expect(got.at(-1)).toBe('refused')
    await context.close()
    await other.close()
  })
})
