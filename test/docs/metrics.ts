import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

const DOCS = resolve(import.meta.dirname, '../../docs')

export interface DocumentedMetric {
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

/** The table of docs/metrics.md. */
export function documentedMetrics(): Map<string, DocumentedMetric> {
  const text = readFileSync(resolve(DOCS, 'metrics.md'), 'utf8')
  const rows = text.matchAll(/^\| `([a-z_]+)` \| (gauge|counter) \| ?([^|]*?) ?\| (.+) \|$/gm)
  return new Map(
    [...rows].map(([, name, type, labels, help]) => [
      name!,
      { type: type!, labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!), help: help! },
    ]),
  )
}

/** Every expression of docs/grafana/fleetd.json, with the panel that it is in. */
export function dashboardExpressions(): { panel: string; expr: string }[] {
  const { panels } = JSON.parse(readFileSync(resolve(DOCS, 'grafana/fleetd.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[]
  }
  return panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ panel: title, expr })))
}
