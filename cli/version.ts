declare const __VERSION__: string | undefined

/** Put in by the build; absent when run from source. */
export const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0.0.0-source'
