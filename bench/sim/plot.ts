import type { Run } from '../sim.ts'

/** One line for each of these figures, over the size of the fleet; both axes logarithmic. */
const LINES: readonly { experiment: string; figure: number; label: string; colour: string }[] = [
  { experiment: 'crash-one', figure: 1, label: 'one killed, failed at all', colour: '#1f6f54' },
  { experiment: 'crash-1', figure: 1, label: '1 % killed, all failed at all', colour: '#b3541e' },
  { experiment: 'crash-10', figure: 1, label: '10 % killed, all failed at all', colour: '#a01f4f' },
  { experiment: 'crash-one', figure: 3, label: 'one silent, failed at all', colour: '#2b5fa8' },
  { experiment: 'partition', figure: 1, label: 'halves healed', colour: '#7a3f98' },
  { experiment: 'join', figure: 0, label: 'all joined, after the last start', colour: '#8a6d00' },
]
const [WIDTH, HEIGHT] = [760, 420]
const FRAME = { left: 64, right: 250, top: 40, bottom: 52 }
const SIZES = [100, 10_000] as const
const SECONDS = [0.05, 100] as const

/** How long the whole fleet takes to know, by its size. */
export function plot(runs: readonly Run[]): string {
  const x = (nodes: number): number => scale(nodes, SIZES, FRAME.left, WIDTH - FRAME.right)
  const y = (seconds: number): number => scale(seconds, SECONDS, HEIGHT - FRAME.bottom, FRAME.top)
  const parts: string[] = []
  for (const seconds of [0.1, 1, 10, 100])
    parts.push(
      `<line x1="${FRAME.left}" x2="${WIDTH - FRAME.right}" y1="${y(seconds)}" y2="${y(seconds)}" stroke="#ddd"/>`,
      text(FRAME.left - 8, y(seconds) + 4, `${seconds} s`, 'end'),
    )
  for (const nodes of [100, 1_000, 10_000])
    parts.push(text(x(nodes), HEIGHT - FRAME.bottom + 20, nodes.toLocaleString('en'), 'middle'))
  parts.push(text((FRAME.left + WIDTH - FRAME.right) / 2, HEIGHT - 10, 'nodes', 'middle'))
  const ends = new Set<number>()
  for (const { experiment, figure, label, colour } of LINES) {
    const points = runs
      .filter(run => run.experiment === experiment)
      .map(run => [x(run.nodes), y(run.figures[figure]!.value)] as const)
    const last = points.at(-1)
    if (last === undefined) continue
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map(point => point.join()).join(' ')}"/>`,
      ...points.map(([px, py]) => `<circle cx="${px}" cy="${py}" r="3.5" fill="${colour}"/>`),
    )
    // Labels at the right, one below the other where lines meet.
    let at = last[1]
    while ([...ends].some(other => Math.abs(other - at) < 16)) at += 16
    ends.add(at)
    parts.push(
      `<line x1="${last[0]}" y1="${last[1]}" x2="${WIDTH - FRAME.right + 14}" y2="${at}" stroke="${colour}" stroke-width="0.7" stroke-dasharray="2 3"/>`,
      text(WIDTH - FRAME.right + 18, at + 4, label, 'start', colour),
    )
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="13">
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
${text(FRAME.left, 22, 'How long until the whole fleet knows, profile lan', 'start')}
${parts.join('\n')}
</svg>
`
}

function scale(value: number, [from, to]: readonly [number, number], start: number, end: number): number {
  const share = Math.log(Math.max(from, value) / from) / Math.log(to / from)
  return Math.round(10 * (start + share * (end - start))) / 10
}

function text(x: number, y: number, content: string, anchor: string, colour = '#222'): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${colour}">${content}</text>`
}
