import { expect, test } from 'vitest'
import { dashboardExpressions, documentedMetrics } from './metrics.ts'

/** What an expression of the dashboard may hold besides metrics and their labels. */
const FUNCTIONS = ['sum', 'max', 'count', 'by', 'rate']

test('each expression of the dashboard names metrics that there are, by labels that they have', () => {
  const metrics = documentedMetrics()
  const expressions = dashboardExpressions()
  expect(expressions.length).toBeGreaterThan(10)
  for (const { panel, expr } of expressions) {
    const words = [...expr.replaceAll(/\{job="\$job"\}|\[5m\]/g, '').matchAll(/[A-Za-z_]\w*/g)].map(([word]) => word)
    const named = words.filter(word => metrics.has(word))
    expect(named.length, `${panel}: ${expr}`).toBeGreaterThan(0)
    const labels = named.flatMap(name => metrics.get(name)!.labels)
    const unknown = words.filter(word => ![...named, ...labels, ...FUNCTIONS].includes(word))
    expect(unknown, `${panel}: ${expr}`).toEqual([])
    // A counter alone says nothing; a gauge has no rate.
    for (const name of named)
      expect(expr.includes(`rate(${name}{`), `${panel}: ${expr}`).toBe(metrics.get(name)!.type === 'counter')
  }
})
