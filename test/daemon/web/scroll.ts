import { noBrowser, servePage, simulatedFleet, startBrowser, watchFor } from './support.ts'

/**
 * Scrolls through a list of 5 000 members in a headless browser for five seconds, while the fleet changes, and counts the frames.
 * Exits with 1 below 50 a second: `npm run test:page`.
 */
const MEMBERS = 5_000
const SECONDS = 5
const WANTED = 50

const missing = noBrowser()
if (missing !== undefined) {
  console.log(`the page is not scrolled: ${missing}`)
  process.exit(0)
}
const served = await servePage()
const browser = await startBrowser()
served.fake.members = simulatedFleet(MEMBERS)
const page = await browser.newPage({ viewport: { width: 1200, height: 800 } })
const wrong = watchFor(page, served.url)
await page.goto(`${served.url}#/members`)
await page.getByText(/5\s000 members/).waitFor()
const changing = setInterval(() => {
  served.fake.members = served.fake.members.map((each, at) =>
    at % 50 === 0 ? { ...each, health: each.health === 'passing' ? 'failing' : 'passing' } : each,
  )
  served.fake.push({})
}, 1_000)
const result = (await page.evaluate(`new Promise(done => {
  const list = document.querySelector('.list')
  const from = performance.now()
  const gaps = []
  let last = from
  let empty = 0
  const frame = now => {
    gaps.push(now - last)
    last = now
    // The row in the middle of the box has to be there.
    const box = list.getBoundingClientRect()
    if (document.elementFromPoint(box.left + 40, box.top + box.height / 2)?.closest('.row') === null) empty += 1
    const part = (now - from) / ${SECONDS * 1_000}
    list.scrollTop = (1 - Math.abs(1 - 2 * part)) * list.scrollHeight
    if (part < 1) requestAnimationFrame(frame)
    else done({ frames: gaps.length, seconds: (now - from) / 1000, longest: Math.max(...gaps), empty })
  }
  requestAnimationFrame(frame)
})`)) as { frames: number; seconds: number; longest: number; empty: number }
clearInterval(changing)
await browser.close()
await served.close()
const rate = result.frames / result.seconds
console.log(
  `${MEMBERS} members scrolled down and up in ${result.seconds.toFixed(1)} s: ${rate.toFixed(1)} frames a second, ` +
    `the longest took ${result.longest.toFixed(0)} ms, in ${result.empty} of ${result.frames} the rows were not there yet`,
)
for (const line of wrong) console.log(line)
process.exit(rate >= WANTED && wrong.length === 0 ? 0 : 1)
