import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { toFleetError } from '../../protocol/index.ts'
import type { Download } from './service.ts'

/**
 * Sends bytes no faster than they are read. What goes wrong on the way cannot be said any more: the connection is cut, and whoever reads sees that
 * it has fewer bytes than it was promised. Resolves when it is over; never rejects.
 */
export async function sendDownload(
  response: ServerResponse,
  download: Download,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': download.size,
    'content-disposition': `attachment; filename="${download.name}"`,
    'cache-control': 'no-store',
  })
  try {
    await download.send(async bytes => {
      signal.throwIfAborted()
      if (!response.write(bytes)) await once(response, 'drain', { signal })
    }, signal)
    response.end()
  } catch (error) {
    if (!signal.aborted) log.error({ err: toFleetError(error) }, `${download.name} could not be sent to its end`)
    response.destroy()
  }
}
