// One experiment with one size, in a process of its own: prints what it measured, how long it took and what memory it needed.
import { EXPERIMENTS } from './experiments.ts'

const [name, nodes] = [process.argv[2]!, Number(process.argv[3])]
const began = performance.now()
const figures = EXPERIMENTS[name]!.run(nodes)
process.stdout.write(
  `${JSON.stringify({
    experiment: name,
    nodes,
    figures,
    seconds: (performance.now() - began) / 1_000,
    cpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
    // Linux counts in KiB.
    peakBytes: process.resourceUsage().maxRSS * 1_024,
  })}\n`,
)
