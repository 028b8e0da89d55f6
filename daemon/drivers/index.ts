// How a layer of this host is replaced: unpack into a slot, stop what runs, make the slot current, run it, watch over it.
// A driver does what it is told and may be told twice; when and whether is decided by the replacement machine.
// It knows no network and no ledger.
import { createAgentDriver } from './agent.ts'
import type { LayerConfig } from './config.ts'
import type { Driver } from './driver.ts'
import { createExecDriver } from './exec.ts'
import { createProcessDriver } from './process.ts'
import { createServiceDriver } from './service.ts'
import type { DriverInit } from './slotted.ts'

export { type CommandEnd, type CommandRun, runCommand } from './command.ts'
export { duration, type LayerConfig, layerSchema } from './config.ts'
export { type Driver, flipFailure, type HookAnswer, type ProgramState, type SlotInfo } from './driver.ts'
export { explain } from './hooks.ts'
export { createLane, type Lane } from './lane.ts'
export type { DriverInit } from './slotted.ts'

export function createDriver(config: LayerConfig, init: DriverInit): Driver {
  switch (config.driver) {
    case 'process':
      return createProcessDriver(config, init)
    case 'service':
      return createServiceDriver(config, init)
    case 'exec':
      return createExecDriver(config, init)
    case 'agent':
      return createAgentDriver(config, init)
    default:
      return config satisfies never
  }
}
