import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../support/wait.ts'
import { describeInBrowser } from './in-browser.ts'
import { DESK, PHONE, type Served, seriousIn, servePage, showFleet, startBrowser, watchFor } from './support.ts'

// What takes too long for `npm test`: every part of the page, in both schemes and both sizes. `npm run test:page`.

const PARTS = [
  '',
  '#/members',
  '#/members/MEMBER',
  '#/rollouts',
  '#/rollouts/web',
  '#/images',
  '#/images/IMAGE',
  '#/events',
]

describeInBrowser('every part of the page, with 5 and with 600 members', () => {
  let browser: Browser
  let served: Served
  beforeAll(async () => {
    served = await servePage()
    browser = await startBrowser()
    const { service } = served.fake
    const build = { path: '/srv/shop', name: 'shop', version: 'v2', kind: 'tree', labels: {}, provenance: {} } as const
    await service.buildImage(build, () => undefined, AbortSignal.timeout(1_000))
    served.fake.deliver('deploy', Buffer.from('v2'))
  })
  afterAll(async () => {
    await browser?.close()
    await served?.close()
  })

  const sizes = [5, 600].flatMap(count =>
    (['light', 'dark'] as const).flatMap(colorScheme => [
      { count, colorScheme, size: 'desk', options: { viewport: DESK } },
      { count, colorScheme, size: 'phone', options: PHONE },
    ]),
  )
  test.each(sizes)(
    '$count members, $colorScheme, $size: axe finds nothing serious, the console stays empty, and nothing is too wide',
    async ({ count, colorScheme, options }) => {
      showFleet(served, count)
      const context = await browser.newContext({ ...options, colorScheme })
      const page = await context.newPage()
      const wrong = watchFor(page, served.url)
      for (const part of PARTS) {
        await page.goto('about:blank')
        const [image] = served.fake.images.keys()
        await page.goto(`${served.url}${part.replace('MEMBER', served.fake.members[3]!.id).replace('IMAGE', image!)}`)
        await page.locator('h1').waitFor()
        await eventually('every answer', async () => (await page.getByText('Asking …').count()) === 0)
        expect(await seriousIn(page), part).toEqual([])
        expect(
          await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'),
          part,
        ).toBe(0)
      }
      expect(wrong).toEqual([])
      await context.close()
    },
    120_000,
  )
})
