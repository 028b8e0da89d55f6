import { setTimeout as sleep } from 'node:timers/promises'
import type { Health, LayerStatus, Service, ServiceVitals } from '../../protocol/index.ts'
import { createChecks } from '../drivers/checks.ts'
import type { ServicesConfig } from './config.ts'

/** A layer's health, and where it stands in its replacement. */
export interface LayerCondition {
  readonly health: Health
  readonly state: LayerStatus['state']
}

/** What this host offers to others. */
export interface Services {
  /** As its record says it; undefined where there is none. */
  readonly offered: readonly Service[] | undefined
  /** How each does now. */
  states(): readonly ServiceVitals[] | undefined
  /** Resolves when those who were sent to the services of this layer have had time to notice that they are no more. */
  quiesce(layer: string, signal: AbortSignal): Promise<void>
  /** Begins to look; `onChange` is not called before. */
  start(): void
  stop(): void
}

export interface ServicesInit {
  readonly config: ServicesConfig
  /** Undefined for a layer that this host does not have. */
  readonly layer: (name: string) => LayerCondition | undefined
  /** Where and with what commands of checks run. */
  readonly setting: { readonly cwd: string; readonly env: Readonly<Record<string, string>> }
  onChange(): void
}

export function createServices({ config, layer, setting, onChange }: ServicesInit): Services {
  const services = Object.entries(config).map(([name, service]) => {
    const checks = createChecks(service.checks, onChange)
    return { ...service, name, checks }
  })
  if (services.length === 0)
    return {
      offered: undefined,
      states: () => undefined,
      quiesce: async () => undefined,
      start: () => undefined,
      stop: () => undefined,
    }
  return {
    offered: services.map(({ name, port, protocol }) => ({ name, port, protocol })),
    states: () =>
      services.map(({ name, weight, layer: of, checks }) => {
        const condition = of === undefined ? undefined : layer(of)
        const health = of === undefined ? 'passing' : (condition?.health ?? 'unknown')
        return {
          name,
          health: worse(health, checks.health().health),
          weight: condition !== undefined && GOING_DOWN.includes(condition.state) ? 0 : weight,
        }
      }),
    async quiesce(name, signal) {
      const longest = Math.max(0, ...services.filter(service => service.layer === name).map(({ drain }) => drain))
      if (longest > 0) await sleep(longest, undefined, { signal })
    },
    start() {
      for (const { checks } of services) checks.reset(setting)
    },
    stop() {
      for (const { checks } of services) checks.stop()
    },
  }
}

/** From the permit to the new program: what runs is about to be stopped, or has just been. */
const GOING_DOWN: readonly LayerStatus['state'][] = ['draining', 'starting', 'reverting']
const BADNESS: readonly Health[] = ['passing', 'unknown', 'failing']
const worse = (a: Health, b: Health): Health => (BADNESS.indexOf(a) > BADNESS.indexOf(b) ? a : b)
