import type { ProcessConfig } from './config.ts'
import type { Driver } from './driver.ts'
import { createProgram, type ProgramSpec } from './program.ts'
import { createSlotted, type DriverInit } from './slotted.ts'

/** The `process` driver: fleetd itself runs the program that is in the slot. */
export const createProcessDriver = (config: ProcessConfig, init: DriverInit): Driver =>
  createSlotted(config, init, ({ slots, environment, changed }) => {
    const { stopTimeout } = config
    const spec = (): ProgramSpec | undefined => {
      const { directory: cwd, digest } = slots.current()
      return cwd === undefined ? undefined : { command: config.command, env: environment(digest), cwd }
    }
    const program = createProgram({
      directory: init.directory,
      random: init.random,
      now: init.now ?? (() => performance.now()),
      log: init.log,
      onChange: changed,
    })
    const run = async (): Promise<void> => {
      const next = spec()
      if (next !== undefined) await program.start(next)
    }

    return {
      start() {
        const current = spec()
        return current === undefined ? program.endLeftover(stopTimeout) : program.adoptOrStart(current, stopTimeout)
      },
      stop: leaveRunning => (leaveRunning ? program.release() : program.stop(stopTimeout)),
      async restart() {
        await program.stop(stopTimeout)
        await run()
      },
      async flip(image) {
        await program.stop(stopTimeout)
        try {
          await slots.use(image)
        } finally {
          // Where the disk takes no new word, the old one still holds: better the old program than none.
          await run()
        }
      },
      state: program.state,
      output: program.output,
    }
  })
