import type { ComponentLogger, Logger } from '@libp2p/interface'

const drop = () => {}
const silent: Logger = Object.assign(drop, { error: drop, trace: drop, enabled: false, newScope: () => silent })

/**
 * libp2p formats a line for every frame it moves, before asking whether anybody listens. Its failures reach us as rejected
 * promises and closed connections, which we log ourselves.
 */
export const silentLogger: ComponentLogger = { forComponent: () => silent }
